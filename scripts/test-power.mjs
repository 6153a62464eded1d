// Installs what makes and mounts a file system of its own, then runs test/support/power/run.ts.
import { inRoot, needFileSystems, run } from './support.mjs';

needFileSystems('test:power');
const runner = inRoot('test', 'support', 'power', 'run.ts');
const passed = run(process.execPath, ['--import', 'tsx', runner, ...process.argv.slice(2)]);
process.exit(passed ? 0 : 1);
