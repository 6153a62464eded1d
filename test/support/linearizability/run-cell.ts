import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import {
  describeCell,
  describeStage,
  recordsMax,
  runLast,
  runPhases,
  type Background,
  type Cell,
} from './cell.js';
import { describeViolation, findViolation } from './checker.js';
import { Recorder } from './recorder.js';
import { startWorker } from '../worker.js';

const WORKER = new URL('./worker.ts', import.meta.url).href;

/** The machine may be busy, but not that long. */
const STALLED_MS = 60_000;

export interface CellReport {
  /** Operations on single keys that were checked. */
  readonly operations: number;
  readonly failure: string | undefined;
  readonly background: Background;
}

/** Runs a store under concurrent calls, in a worker thread that is ended in the end or here, and checks it. */
export async function runCell(
  options: Omit<Cell, 'path'>,
  parent: string,
  inWorker: boolean,
): Promise<CellReport> {
  const directory = await mkdtemp(join(parent, 'cairn-linear-'));
  const cell: Cell = { ...options, path: join(directory, 'store') };
  const recorder = Recorder.ofCapacity(recordsMax(cell));
  const run = inWorker ? runInWorker : runPhases;
  let background: Background = { checkpoints: 0, compactedCells: 0 };
  let failure: string | undefined;
  try {
    background = await watched(recorder, run(cell, recorder));
    await watched(recorder, runLast(cell, recorder));
    const history = recorder.operations();
    const violation = findViolation(history);
    failure = violation && describeViolation(violation, history);
  } catch (error) {
    failure = error instanceof Error ? (error.stack ?? error.message) : String(error);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
  return {
    operations: recorder.length,
    failure: failure && `${describeCell(cell)}: ${failure}`,
    background,
  };
}

async function runInWorker(cell: Cell, { shared }: Recorder): Promise<Background> {
  const worker = startWorker(WORKER, { cell, shared });
  const background = await new Promise<Background>((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
    worker.once('exit', () => reject(new Error('the worker ended by itself')));
  });
  await new Promise((resolve) => setTimeout(resolve, cell.seed % 20));
  await worker.terminate();
  return background;
}

/** @throws Error when nothing begins or ends for too long. */
async function watched<T>(recorder: Recorder, work: Promise<T>): Promise<T> {
  let seen = -1;
  let timer: NodeJS.Timeout | undefined;
  const stalled = new Promise<never>((_, reject) => {
    timer = setInterval(() => {
      if (recorder.now === seen) reject(new Error(`nothing moves: ${describeStage(recorder)}`));
      seen = recorder.now;
    }, STALLED_MS);
  });
  try {
    return await Promise.race([work, stalled]);
  } finally {
    clearInterval(timer);
  }
}
