import { copyFileSync, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isCairnError, type ErrorCode } from '../../../ts/common/errors.js';
import type { Store } from '../../../ts/engine/api.js';
import { WORKLOADS } from '../robustness/fault-workloads.js';
import { checkReopened, Expectations, FaultyRun, typed } from '../robustness/faults.js';
import type { FaultCase, FaultWorkload } from '../robustness/faults.js';
import { openSmallIn, smallConfig } from '../robustness/small-stores.js';
import type { CallFault, Faults, Hits } from './library.js';

/** What takes longer hangs. A ring that the kernel refuses is given up after 5 s. */
const SETTLE_MS = 20_000;
const MIB = 2 ** 20;
const COPIES_MAX = 100;

export interface RealCase extends Omit<FaultCase, 'fault'> {
  /** A directory that does not exist yet. */
  readonly path: string;
  readonly backend: 'IOURING' | 'POSIX';
  readonly fault: CallFault;
}

export async function settledInTime<T>(what: string, call: Promise<T>): Promise<T> {
  const timer = new AbortController();
  const late = sleep(SETTLE_MS, undefined, { signal: timer.signal, ref: true }).then(
    () => {
      throw new Error(`${what} never settles`);
    },
    () => undefined as never,
  );
  try {
    return await Promise.race([call, late]);
  } finally {
    timer.abort();
  }
}

/** Those of the simulated disk, and one whose calls are under way at the same time. */
export const REAL_WORKLOADS: Readonly<Record<string, FaultWorkload>> = {
  ...WORKLOADS,
  'many at once': async (run) => {
    const at = (count: number): number[] => Array.from({ length: count }, (_, index) => index);
    await Promise.all(at(6).map((key) => run.put(`large-${key}`, 2100 + 300 * key)));
    await Promise.all([
      ...at(6).map((key) => run.get(`large-${key}`)),
      ...at(6).map((key) => run.put(`small-${key}`, 100 * key)),
      ...at(3).map((key) => run.put(`large-${key}`, 5000)),
      run.checkpoint(),
    ]);
    const late = at(6).map((key) => run.put(`late-${key}`, 4000 + 1000 * key));
    await Promise.all([run.putSync('small-1', 700), run.putSync('large-1', 2800), ...late]);
  },
  // Of several requests each.
  'values of megabytes': async (run) => {
    await run.putSync('huge', 6 * MIB);
    await run.put('huge', 5 * MIB);
    await run.get('huge');
    await run.put('small', 100);
  },
};

/**
 * What the end of the process would leave: the kernel has all that was written. Once more when the store
 * changed its files meanwhile, as after a checkpoint.
 */
function copyOf(path: string, to: string): string {
  for (let left = COPIES_MAX; ; left--) {
    rmSync(to, { recursive: true, force: true });
    mkdirSync(to);
    try {
      const before = stateOf(path);
      for (const name of readdirSync(path)) copyFileSync(join(path, name), join(to, name));
      if (stateOf(path) === before) return to;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
    if (left === 0) throw new Error('the files never rest');
  }
}

function stateOf(path: string): string {
  const lines = readdirSync(path).map((name) => {
    const { size, mtimeNs } = statSync(join(path, name), { bigint: true });
    return `${name} ${size} ${mtimeNs}`;
  });
  return lines.join();
}

/**
 * Runs a workload in a directory while a call of the addon fails; checks the store while it is open, as
 * the end of the process would leave it, and after closing it.
 *
 * @returns how often the call failed. @throws Error that says what is wrong.
 */
export async function runReal(faults: Faults, run: RealCase): Promise<Hits> {
  try {
    return await tryReal(faults, run);
  } finally {
    faults.disarm();
    for (const suffix of ['', '-killed']) {
      rmSync(run.path + suffix, { recursive: true, force: true });
    }
  }
}

async function tryReal(faults: Faults, real: RealCase): Promise<Hits> {
  const { path, backend, valueType, document, fault, codes, workload, stage } = real;
  const open = (at: string): Promise<Store> =>
    settledInTime(
      'open',
      openSmallIn(smallConfig(valueType, { ...document, path: at, io: { type: backend } })),
    );
  const expected = new Expectations();
  if (stage === 'reopening') await leaveStore(await open(`${path}-old`), expected, path);
  if (stage !== 'open') faults.arm(fault);
  let store: Store;
  try {
    store = await open(path);
  } catch (error) {
    typed(error, codes, 'open');
    const hits = faults.disarm();
    await checkReopened(() => open(path), expected, 'open failed', settledInTime);
    return hits;
  }
  if (stage === 'open') faults.arm(fault);
  const run = new FaultyRun(store, codes, expected, settledInTime);
  await workload(run);
  const hits = faults.disarm();
  const readable = fault.kind !== 'submit' || codes.length === 0 || hits.hitCount === 0;
  const look = (when: string): void => checkOpen(store, expected, when, readable ? [] : codes);
  look('open');
  await run.writeAll(stage === 'open' && isFatal(real, hits));
  look('open, after more writes');
  const killed = copyOf(path, `${path}-killed`);
  await checkReopened(() => open(killed), expected, 'killed', settledInTime);
  await run.attempt('close', () => store.close());
  await checkReopened(() => open(path), expected, 'reopened', settledInTime);
  return hits;
}

/** @param codes of reads that may fail: nothing goes through a ring that the kernel has refused. */
function checkOpen(
  store: Store,
  expected: Expectations,
  when: string,
  codes: readonly ErrorCode[],
): void {
  try {
    expected.check(store, when);
  } catch (error) {
    if (codes.length === 0 || !isCairnError(error)) throw error;
    typed(error, codes, when);
  }
}

/** A store with a checkpoint and a log to replay, as it is when its process ends. */
async function leaveStore(store: Store, expected: Expectations, path: string): Promise<void> {
  const run = new FaultyRun(store, [], expected, settledInTime);
  await run.put('old-1', 70);
  await run.put('old-large', 2300);
  await run.checkpoint();
  await run.batch(['old-2', 'old-3'], 500);
  await run.delete('old-1');
  const made = `${path}-old`;
  copyOf(made, path);
  await store.close();
  rmSync(made, { recursive: true });
}

/** A failed write of the log or the manifest, or a failed sync of values: nothing may be written. */
function isFatal({ codes }: RealCase, { hits }: Hits): boolean {
  return (
    codes.length > 0 &&
    hits.some((hit) => /^(write (log-\d+|MANIFEST) durable|sync values)$/.test(hit))
  );
}
