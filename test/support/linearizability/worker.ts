// A store of test/support/linearizability/run-cell.ts in a worker thread that is ended while it writes.
import { parentPort, workerData } from 'node:worker_threads';
import { runPhases, writeUntilEnded, type Cell } from './cell.js';
import { Recorder } from './recorder.js';

const { cell, shared } = workerData as { cell: Cell; shared: SharedArrayBuffer };
const recorder = new Recorder(shared);
const background = await runPhases(cell, recorder);
await writeUntilEnded(cell, recorder, () => parentPort?.postMessage(background));
