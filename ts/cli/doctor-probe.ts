import { closeSync, constants, fdatasyncSync, openSync, readSync, writeSync } from 'node:fs';
import { randomFillSync } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { hasCode } from './errors.js';

/** What the device and its file system do, measured below the store. */
export interface ProbeFacts {
  /** O_DIRECT is accepted. */
  readonly direct: boolean;
  readonly sync: RateFacts;
  readonly readDepth1: RateFacts;
  readonly readDepth32: RateFacts;
  /** Bytes of the file that was read at random places. */
  readonly readSpanBytes: number;
}

export interface RateFacts {
  readonly perSecond: number;
  /** Microseconds. */
  readonly p50: number;
  readonly p99: number;
}

/** In every Node.js; its types come with the browser's only. */
declare const WebAssembly: {
  readonly Memory: new (size: { readonly initial: number }) => { readonly buffer: ArrayBuffer };
};

const PAGE = 4096;
const MIB = 1024 * 1024;
const LOG_BYTES = 8 * MIB;
const SYNC_MS = 1000;
const READ_MS = 700;
const FILL_MS_MAX = 2000;
const SLICE_MS = 50;
const DEPTH = 32;

/**
 * @param directory an empty directory of ours, removed by the caller.
 * @param spanBytes how large the file for the reads may become; smaller when the device is slow.
 */
export async function probe(
  directory: string,
  spanBytes: number,
  signal: AbortSignal,
): Promise<ProbeFacts> {
  const direct = acceptsDirect(`${directory}/direct`);
  const flags = direct ? constants.O_DIRECT : 0;
  const sync = await measureSync(`${directory}/sync`, flags, signal);
  const path = `${directory}/read`;
  const span = await fill(path, flags, spanBytes, signal);
  const readDepth1 = await measureRead(path, flags, span, signal);
  const readDepth32 = await measureReadThreads(path, flags, span, signal);
  return { direct, sync, readDepth1, readDepth32, readSpanBytes: span };
}

/** The memory of a WebAssembly.Memory begins at a page, which O_DIRECT asks for and Buffer does not promise. */
function alignedBuffer(bytes: number): Buffer {
  return Buffer.from(
    new WebAssembly.Memory({ initial: Math.ceil(bytes / 65_536) }).buffer,
    0,
    bytes,
  );
}

function acceptsDirect(path: string): boolean {
  try {
    const file = openSync(path, constants.O_CREAT | constants.O_RDWR | constants.O_DIRECT, 0o600);
    try {
      writeSync(file, alignedBuffer(PAGE), 0, PAGE, 0);
      return true;
    } finally {
      closeSync(file);
    }
  } catch (error) {
    if (hasCode(error, 'EINVAL') || hasCode(error, 'EOPNOTSUPP')) return false;
    throw error;
  }
}

/** As the log does it: one page, then a sync, over space that was written before. */
async function measureSync(path: string, flags: number, signal: AbortSignal): Promise<RateFacts> {
  const file = openSync(path, constants.O_CREAT | constants.O_RDWR | flags, 0o600);
  try {
    const block = alignedBuffer(MIB);
    for (let offset = 0; offset < LOG_BYTES; offset += MIB) writeSync(file, block, 0, MIB, offset);
    fdatasyncSync(file);
    block[0] = 1;
    let offset = 0;
    return await repeat(SYNC_MS, signal, () => {
      writeSync(file, block, 0, PAGE, offset);
      fdatasyncSync(file);
      offset = (offset + PAGE) % LOG_BYTES;
    });
  } finally {
    closeSync(file);
  }
}

/** Random bytes: hosts below a virtual disk may not store zeros at all. */
async function fill(
  path: string,
  flags: number,
  bytesMax: number,
  signal: AbortSignal,
): Promise<number> {
  const file = openSync(path, constants.O_CREAT | constants.O_RDWR | flags, 0o600);
  try {
    const block = alignedBuffer(MIB);
    randomFillSync(block);
    const end = performance.now() + FILL_MS_MAX;
    let bytes = 0;
    do {
      signal.throwIfAborted();
      writeSync(file, block, 0, MIB, bytes);
      bytes += MIB;
      await nextTurn();
    } while (bytes < bytesMax && performance.now() < end);
    fdatasyncSync(file);
    return bytes;
  } finally {
    closeSync(file);
  }
}

async function measureRead(
  path: string,
  flags: number,
  span: number,
  signal: AbortSignal,
): Promise<RateFacts> {
  const file = openSync(path, constants.O_RDONLY | flags);
  try {
    const block = alignedBuffer(PAGE);
    return await repeat(READ_MS, signal, () => {
      readSync(file, block, 0, PAGE, Math.floor((Math.random() * span) / PAGE) * PAGE);
    });
  } finally {
    closeSync(file);
  }
}

/**
 * A thread each: libuv's own pool has four by default and was started before we could ask for more.
 * Measured beside fio on one host: 82 k/s here, 83 k/s there; with a libuv pool of 32, 53 k/s.
 */
const READER = `
const { closeSync, openSync, readSync } = require('node:fs');
const { parentPort, workerData } = require('node:worker_threads');
const { path, flags, span, milliseconds } = workerData;
const block = Buffer.from(new WebAssembly.Memory({ initial: 1 }).buffer);
const file = openSync(path, flags);
parentPort.once('message', () => {
  const times = [];
  const end = performance.now() + milliseconds;
  for (let before = performance.now(); before < end; ) {
    readSync(file, block, 0, ${PAGE}, Math.floor(Math.random() * span / ${PAGE}) * ${PAGE});
    const after = performance.now();
    times.push((after - before) * 1000);
    before = after;
  }
  closeSync(file);
  parentPort.postMessage(Float64Array.from(times));
});
parentPort.postMessage(null);
`;

async function measureReadThreads(
  path: string,
  flags: number,
  span: number,
  signal: AbortSignal,
): Promise<RateFacts> {
  const workerData = { path, flags: constants.O_RDONLY | flags, span, milliseconds: READ_MS };
  const workers = Array.from(
    { length: DEPTH },
    () => new Worker(READER, { eval: true, workerData, execArgv: [] }),
  );
  try {
    return await Promise.race([measureTogether(workers), whenAborted(signal)]);
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
}

async function measureTogether(workers: readonly Worker[]): Promise<RateFacts> {
  await Promise.all(workers.map(nextMessage)); // all have started
  const started = performance.now();
  const answers = workers.map(nextMessage);
  for (const worker of workers) worker.postMessage(null);
  const times = (await Promise.all(answers)).flatMap((answer) => Array.from(answer ?? []));
  return summarize(times, performance.now() - started);
}

function nextMessage(worker: Worker): Promise<Float64Array | null> {
  return new Promise((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
  });
}

function whenAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
  });
}

/** Blocks for short slices only, so that an interrupt is heard. */
async function repeat(
  milliseconds: number,
  signal: AbortSignal,
  operation: () => void,
): Promise<RateFacts> {
  const times: number[] = [];
  const started = performance.now();
  const end = started + milliseconds;
  let busy = 0;
  while (performance.now() < end) {
    const sliceStarted = performance.now();
    let before = sliceStarted;
    do {
      operation();
      const after = performance.now();
      times.push((after - before) * 1000);
      before = after;
    } while (before < sliceStarted + SLICE_MS);
    busy += before - sliceStarted;
    await nextTurn();
    signal.throwIfAborted();
  }
  return summarize(times, busy);
}

function summarize(times: number[], milliseconds: number): RateFacts {
  const sorted = Float64Array.from(times).sort();
  const at = (share: number): number =>
    sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
  return { perSecond: (1000 * times.length) / milliseconds, p50: at(0.5), p99: at(0.99) };
}
