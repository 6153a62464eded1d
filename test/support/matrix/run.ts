// Every valid combination of index, value store and allocators x the 26 behaviours of the seed
// system, on every backend, after SIGKILL and after close and reopen:
//
//   npm run test:matrix
//   npm run test:matrix -- --only DRAM_EXTENDIBLE_HASH
//
// Progress goes to stderr, the table to stdout; exits with 1 when anything failed.
import { tmpdir } from 'node:os';
import { readOptions } from '../options.js';
import { combinations, IO_TYPES, nameOf } from './combination.js';
import { runMatrix } from './matrix.js';

const USAGE = `Options:
  --only TEXT        combinations whose names have this in them
  --directory PATH   where the stores lie (default: the system's directory for temporary files)
`;

const values = readOptions(USAGE, {
  only: { type: 'string', default: '' },
  directory: { type: 'string', default: tmpdir() },
});
const chosen = combinations().filter((combination) => nameOf(combination).includes(values.only));
const { table, checks, failures } = await runMatrix(chosen, IO_TYPES, values.directory, (line) => {
  process.stderr.write(`${line}\n`);
});
process.stdout.write(`${table}\n${checks - failures.length} passed, ${failures.length} failed\n`);
process.exitCode = failures.length === 0 && checks > 0 ? 0 : 1;
