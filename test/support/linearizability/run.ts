// Stores of every combination of types under concurrent calls, checked for linearizability per key:
//
//   npm run test:concurrency -- --seeds 20 --operations 100000
//   npm run test:concurrency -- --seed 7 --seeds 1
//
// Progress goes to stderr; the last line is 'N passed, N failed', counted in seeds.
import { availableParallelism, tmpdir } from 'node:os';
import { readCount, readOptions } from '../options.js';
import { runCell } from './run-cell.js';

const USAGE = `Options:
  --seeds N          how many (default 20)
  --seed S           the first of them (default 1)
  --operations N     calls for each seed (default 100000)
  --clients N        calls at a time (default 16)
  --threads N        worker threads with a store each, 0: the main thread (default: one per processor)
  --directory PATH   where the stores lie (default: the system's directory for temporary files)
`;

const values = readOptions(USAGE, {
  seeds: { type: 'string', default: '20' },
  seed: { type: 'string', default: '1' },
  operations: { type: 'string', default: '100000' },
  clients: { type: 'string', default: '16' },
  threads: { type: 'string', default: String(availableParallelism()) },
  directory: { type: 'string', default: tmpdir() },
});
const first = readCount('seed', values.seed);
const end = first + readCount('seeds', values.seeds, 1);
const operations = readCount('operations', values.operations, 1);
const clients = readCount('clients', values.clients, 1);
const threads = readCount('threads', values.threads);

let next = first;
let failed = 0;
let checked = 0;
async function runSome(): Promise<void> {
  while (next < end) {
    const seed = next++;
    const began = performance.now();
    const report = await runCell({ seed, operations, clients }, values.directory, threads > 0);
    checked += report.operations;
    const seconds = ((performance.now() - began) / 1000).toFixed(1);
    const { checkpoints, compactedCells } = report.background;
    process.stderr.write(
      `seed ${seed}: ${report.operations} operations, ${checkpoints} checkpoints, ` +
        `${compactedCells} cells compacted, ${seconds} s\n` +
        (report.failure === undefined ? '' : `FAILED ${report.failure}\n`),
    );
    if (report.failure !== undefined) failed++;
  }
}
await Promise.all(Array.from({ length: Math.max(1, threads) }, runSome));
process.stderr.write(`${checked} operations on single keys checked\n`);
process.stdout.write(`${end - first - failed} passed, ${failed} failed\n`);
process.exitCode = failed === 0 && end > first ? 0 : 1;
