import { spawn } from 'node:child_process';
import { open } from 'node:fs/promises';
import { BLOCK_BYTES, ValueBlock } from '../random.js';
import type { Latency, Sample } from '../measure.js';

/** One figure for one direction out of fio's JSON document. */
export interface FioResult {
  readonly iops: number;
  readonly bytesPerSecond: number;
  /** Completion latency, microseconds; of a synced write the write and the sync are told apart. */
  readonly latency: Latency;
  readonly syncLatency: Latency | null;
}

export type FioJob =
  /** io_uring, O_DIRECT, registered buffers and file: what the device gives at this depth. */
  | { readonly kind: 'random-read'; readonly depth: number; readonly blockBytes: number }
  /** The same, writing blocks that were written before; nothing is synced. */
  | { readonly kind: 'random-write'; readonly depth: number; readonly blockBytes: number }
  /** The same engine writing a new file from start to end, synced at the end. */
  | { readonly kind: 'sequential-write'; readonly depth: number; readonly blockBytes: number }
  /** pwrite, then fdatasync, over blocks that were written before: the plainest durable write. */
  | { readonly kind: 'write-fdatasync'; readonly blockBytes: number }
  /** pwrite to O_DIRECT | O_DSYNC, over blocks written before: what a log does for every group. */
  | { readonly kind: 'direct-dsync'; readonly blockBytes: number };

export interface FioRun {
  readonly job: FioJob;
  readonly file: string;
  readonly fileBytes: number;
  /** Of a sequential write: ignored, the file is written once. */
  readonly milliseconds: number;
}

export function fioArguments(run: FioRun): readonly string[] {
  const { job } = run;
  const common = [
    '--name=yardstick',
    `--filename=${run.file}`,
    `--size=${run.fileBytes}`,
    `--bs=${job.blockBytes}`,
    '--output-format=json',
    '--percentile_list=50:99:99.9',
    '--randrepeat=0',
    '--fallocate=none',
    // Or writes carry compressible buffers.
    '--refill_buffers=0',
    '--buffer_compress_percentage=0',
  ];
  const uring = (depth: number): string[] => [
    '--ioengine=io_uring',
    '--direct=1',
    '--fixedbufs=1',
    '--registerfiles=1',
    `--iodepth=${depth}`,
  ];
  const timed = ['--time_based=1', `--runtime=${run.milliseconds}ms`];
  switch (job.kind) {
    case 'random-read':
      return [...common, ...uring(job.depth), ...timed, '--rw=randread', '--norandommap=1'];
    case 'random-write':
      return [...common, ...uring(job.depth), ...timed, '--rw=randwrite', '--norandommap=1'];
    case 'sequential-write':
      return [...common, ...uring(job.depth), '--rw=write', '--end_fsync=1'];
    case 'write-fdatasync':
      return [...common, ...timed, '--ioengine=psync', '--rw=write', '--fdatasync=1'];
    case 'direct-dsync':
      return [...common, ...timed, '--ioengine=psync', '--direct=1', '--sync=dsync', '--rw=write'];
  }
}

/** As a person would type it. */
export function fioCommand(run: FioRun): string {
  return ['fio', ...fioArguments({ ...run, file: 'FILE' })].join(' ');
}

const object = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};

const numberOf = (value: unknown): number => (typeof value === 'number' ? value : Number.NaN);

function percentiles(value: unknown): Latency {
  const list = object(object(value)['percentile']);
  const microseconds = (name: string): number => numberOf(list[name]) / 1000;
  return {
    p50: microseconds('50.000000'),
    p99: microseconds('99.000000'),
    p999: microseconds('99.900000'),
  };
}

/** @throws Error with fio's own words when the document reports a failed job. */
export function parseFio(text: string, direction: 'read' | 'write'): FioResult {
  // fio prints warnings before the document, on the same stream.
  const start = text.indexOf('{');
  if (start < 0) throw new Error(`fio printed no JSON: ${text.slice(0, 200)}`);
  const document = object(JSON.parse(text.slice(start)));
  const jobs = document['jobs'];
  const job = object(Array.isArray(jobs) ? jobs[0] : undefined);
  const failure = numberOf(job['error']);
  if (failure !== 0) throw new Error(`fio job failed with errno ${failure}`);
  const side = object(job[direction]);
  const sync = object(job['sync']);
  const syncs = numberOf(sync['total_ios']);
  return {
    iops: numberOf(side['iops']),
    bytesPerSecond: numberOf(side['bw_bytes']),
    latency: percentiles(side['clat_ns']),
    syncLatency: syncs > 0 ? percentiles(sync['lat_ns']) : null,
  };
}

/** Runs one program to its end and gives what it printed. */
export function run(program: string, args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => err.push(chunk));
    child.on('error', reject);
    child.on('close', (code) => {
      if (code === 0) resolve(Buffer.concat(out).toString());
      else reject(new Error(`${program} exited with ${code}: ${Buffer.concat(err).toString()}`));
    });
  });
}

export async function fioVersion(): Promise<string | null> {
  try {
    return (await run('fio', ['--version'])).trim();
  } catch {
    return null;
  }
}

export async function runFio(job: FioRun): Promise<FioResult> {
  const text = await run('fio', fioArguments(job));
  return parseFio(text, job.job.kind === 'random-read' ? 'read' : 'write');
}

/** The sample of a row that counts operations. */
export function fioSample(result: FioResult, perOperation = 1): Sample {
  return { value: result.iops * perOperation, latency: result.latency };
}

/**
 * Writes every block of a file and syncs it, so that what is measured on it later is neither a hole
 * nor the conversion of fallocated extents.
 */
export async function prewrite(file: string, bytes: number): Promise<void> {
  const block = new ValueBlock(7).bytes;
  const handle = await open(file, 'w', 0o600);
  try {
    for (let done = 0; done < bytes; done += BLOCK_BYTES) {
      await handle.write(block, 0, Math.min(BLOCK_BYTES, bytes - done), done);
    }
    await handle.sync();
  } finally {
    await handle.close();
  }
}
