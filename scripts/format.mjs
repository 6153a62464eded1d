// Prettier for TypeScript and scripts, clang-format for C++ where it is installed.
// --write changes the files, --check only says which differ.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { hasProgram, inRoot, root, run } from './support.mjs';

const write = process.argv.includes('--write');

const prettier = inRoot('node_modules', 'prettier', 'bin', 'prettier.cjs');
let good = run(process.execPath, [
  prettier,
  write ? '--write' : '--check',
  '--log-level=warn',
  '.',
]);

const sources = ['native', 'test/native']
  .flatMap((directory) =>
    readdirSync(inRoot(directory), { recursive: true }).map((name) => join(directory, name)),
  )
  .filter((name) => /\.(cc|h)$/.test(name));
if (!hasProgram('clang-format')) {
  console.log('format: clang-format is not installed, C++ is left alone');
} else if (sources.length > 0) {
  const mode = write ? ['-i'] : ['--dry-run', '--Werror'];
  good = run('clang-format', [...mode, ...sources], { cwd: root }) && good;
}
process.exit(good ? 0 : 1);
