// Stores of every combination of types under concurrent calls, checked for linearizability per key:
//
//   npm run test:concurrency -- --seeds 20 --operations 100000
//   npm run test:concurrency -- --seed 7 --seeds 1
//
// Progress goes to stderr; the last line is 'N passed, N failed', counted in seeds.
import { availableParallelism, tmpdir } from 'node:os';
import { parseArgs } from 'node:util';
import { runCell } from './run-cell.js';

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '20' },
    /** The first of them. */
    seed: { type: 'string', default: '1' },
    /** Calls for each seed. */
    operations: { type: 'string', default: '100000' },
    /** Calls at a time. */
    clients: { type: 'string', default: '16' },
    /** Worker threads with a store each; 0: the main thread. */
    threads: { type: 'string', default: String(availableParallelism()) },
    directory: { type: 'string', default: tmpdir() },
  },
});
const first = Number(values.seed);
const end = first + Number(values.seeds);
const [operations, clients] = [Number(values.operations), Number(values.clients)];
const threads = Number(values.threads);

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
