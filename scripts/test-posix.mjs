// The whole of scripts/test.mjs where io_uring_setup(2) says EPERM, so that each store that asks for
// io_uring runs on threads. Arguments go to mocha.
import { mkdirSync } from 'node:fs';
import { inRoot, run } from './support.mjs';

const launcher = inRoot('build', 'posix', 'without-uring');
mkdirSync(inRoot('build', 'posix'), { recursive: true });
const source = inRoot('test', 'support', 'without-uring.c');
const built = run('cc', ['-O1', '-Wall', '-o', launcher, source]);
const tests = [process.execPath, inRoot('scripts', 'test.mjs'), ...process.argv.slice(2)];
const passed =
  built && run(launcher, tests, { env: { ...process.env, CAIRN_TEST_WITHOUT_URING: '1' } });
process.exit(passed ? 0 : 1);
