import type { SimDisk, SimFault } from '../../../ts/bindings/addon.js';
import { isCairnError, type CairnError, type ErrorCode } from '../../../ts/common/errors.js';
import type { StoreConfig } from '../../../ts/config/types.js';
import type { Store } from '../../../ts/engine/api.js';
import { newSimDisk } from '../sim-disk.js';
import { bytesOf } from '../stores.js';
import { abandon, openSmall, smallConfig, type ValueType } from './small-stores.js';

/** Turns of the event loop: a simulated disk needs none, so what takes longer hangs. */
const TURNS_MAX = 100;

/** Per key what a store may show: the last acknowledged value, or that of a later failed write. */
export class Expectations {
  readonly #acknowledged = new Map<string, Buffer | undefined>();
  readonly #possible = new Map<string, (Buffer | undefined)[]>();

  get keys(): IterableIterator<string> {
    return this.#possible.keys();
  }

  begin(key: string, value: Buffer | undefined): void {
    const possible = this.#possible.get(key) ?? [];
    possible.push(value);
    this.#possible.set(key, possible);
  }

  acknowledge(key: string, value: Buffer | undefined): void {
    this.#acknowledged.set(key, value);
    this.#possible.set(key, []);
  }

  /** @throws Error when the store shows something else. */
  check(store: Store, when: string): void {
    for (const key of [...this.keys, 'never-written']) {
      const found = store.getSync(key);
      const allowed = [this.#acknowledged.get(key), ...(this.#possible.get(key) ?? [])];
      if (!allowed.some((value) => same(value, found))) {
        const seen = found === undefined ? 'absent' : `a wrong value of ${found.length} bytes`;
        throw new Error(`${when}: ${key} is ${seen}`);
      }
    }
  }
}

function same(left: Buffer | undefined, right: Buffer | undefined): boolean {
  return left === undefined || right === undefined ? left === right : left.equals(right);
}

/** Calls on a store whose failures are expected, as long as they have a type. */
export class FaultyRun {
  readonly expected: Expectations;
  readonly failures: CairnError[] = [];
  readonly #store: Store;
  readonly #codes: readonly ErrorCode[];
  readonly #settled: Settled;

  /** @param wait fails when a call never settles. */
  constructor(
    store: Store,
    codes: readonly ErrorCode[],
    expected: Expectations,
    wait: Settled = settled,
  ) {
    this.expected = expected;
    this.#store = store;
    this.#codes = codes;
    this.#settled = wait;
  }

  put(key: string, bytes: number): Promise<boolean> {
    return this.#write(new Map([[key, bytesOf(bytes + key.length, bytes)]]), (effects) =>
      this.#store.put(key, effects.get(key) as Buffer),
    );
  }

  delete(key: string): Promise<boolean> {
    return this.#write(new Map([[key, undefined]]), () => this.#store.delete(key));
  }

  /** The call itself blocks. */
  putSync(key: string, bytes: number): Promise<boolean> {
    return this.#write(new Map([[key, bytesOf(bytes + key.length, bytes)]]), async (effects) =>
      this.#store.putSync(key, effects.get(key) as Buffer),
    );
  }

  deleteSync(key: string): Promise<boolean> {
    return this.#write(new Map([[key, undefined]]), async () => this.#store.deleteSync(key));
  }

  batch(keys: readonly string[], bytes: number): Promise<boolean> {
    const effects = new Map(keys.map((key) => [key, bytesOf(bytes * 3 + key.length, bytes)]));
    return this.#write(effects, () =>
      this.#store.batchPut([...effects.keys()], [...effects.values()]),
    );
  }

  load(keys: readonly string[], bytes: number): Promise<boolean> {
    const effects = new Map(keys.map((key) => [key, bytesOf(bytes * 5 + key.length, bytes)]));
    return this.#write(effects, () => this.#store.bulkLoad([...effects]));
  }

  checkpoint(): Promise<boolean> {
    return this.attempt('checkpoint', () => this.#store.checkpoint());
  }

  flush(): Promise<boolean> {
    return this.attempt('flush', () => this.#store.flush());
  }

  get(key: string): Promise<boolean> {
    return this.attempt('get', () => this.#store.get(key));
  }

  /** Every kind of write once more; all have to fail when `fatal`. */
  async writeAll(fatal: boolean): Promise<void> {
    const done = [
      ['put', await this.put('after', 50)],
      ['large put', await this.put('after-large', 3000)],
      ['batch', await this.batch(['after-a', 'after-b'], 70)],
      ['flush', await this.flush()],
      ['checkpoint', await this.checkpoint()],
    ] as const;
    for (const [what, succeeded] of done) {
      if (fatal && succeeded) throw new Error(`${what} after a failed write of the log or a sync`);
    }
  }

  /** @returns false when the call failed with one of the codes. */
  async attempt(what: string, call: () => Promise<unknown>): Promise<boolean> {
    try {
      await this.#settled(what, call());
      return true;
    } catch (error) {
      this.failures.push(typed(error, this.#codes, what));
      return false;
    }
  }

  async #write(
    effects: ReadonlyMap<string, Buffer | undefined>,
    call: (effects: ReadonlyMap<string, Buffer | undefined>) => Promise<unknown>,
  ): Promise<boolean> {
    for (const [key, value] of effects) this.expected.begin(key, value);
    const done = await this.attempt([...effects.keys()].join(' '), () => call(effects));
    if (done) for (const [key, value] of effects) this.expected.acknowledge(key, value);
    return done;
  }
}

export type Settled = <T>(what: string, call: Promise<T>) => Promise<T>;

export async function settled<T>(what: string, call: Promise<T>): Promise<T> {
  let over = false;
  const done = call.finally(() => (over = true));
  done.catch(() => undefined);
  for (let turn = 0; turn < TURNS_MAX && !over; turn++) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  if (!over) throw new Error(`${what} never settles`);
  return done;
}

export function typed(error: unknown, codes: readonly ErrorCode[], what: string): CairnError {
  if (!isCairnError(error)) throw error;
  if (codes.includes(error.code)) return error;
  throw new Error(`${what} failed with ${error.code}: ${error.message}`, { cause: error });
}

export type FaultWorkload = (run: FaultyRun) => Promise<void>;

export interface FaultCase {
  readonly valueType: ValueType;
  readonly document: StoreConfig;
  readonly fault: SimFault;
  readonly codes: readonly ErrorCode[];
  readonly workload: FaultWorkload;
  /** When the fault is there: as the store is made, as one is opened again, or once it is open. */
  readonly stage: 'making' | 'reopening' | 'open';
}

/**
 * Runs a workload on a disk with a fault; checks the store while it is open, after the end of the
 * process, after a power cut, and after closing it.
 *
 * @returns whether the fault came to pass.
 */
export async function runFaulty(faulty: FaultCase): Promise<boolean> {
  const { valueType, document, fault, codes, workload, stage } = faulty;
  const disk = newSimDisk({ record: true });
  const config = smallConfig(valueType, document);
  const open = (on: SimDisk): Promise<Store> => settled('open', openSmall(on, config));
  const before = new Expectations();
  if (stage === 'reopening') await leaveStore(await open(disk), before, disk);
  if (stage !== 'open') disk.inject(fault);
  let store: Store;
  try {
    store = await open(disk);
  } catch (error) {
    typed(error, codes, 'open');
    // What the failed calls were about may be on the medium or not.
    for (const kind of ['all', 'none'] as const) {
      const after = disk.crash(disk.eventCount, { kind });
      await checkReopened(() => open(after), before, `open failed, then ${kind}`);
      after.release();
    }
    disk.release();
    return true;
  }
  if (stage === 'open') disk.inject(fault);
  const run = new FaultyRun(store, codes, before);
  await workload(run);
  disk.clearFaults();
  run.expected.check(store, 'open');
  await run.writeAll(isFatal(disk));
  run.expected.check(store, 'open, after more writes');
  await checkEnds({ store, run, disk, open }, ['all', 'none']);
  const fired = run.failures.length > 0 || disk.operations().includes('failed');
  disk.release();
  return fired;
}

/** A store with a checkpoint and a log to replay, whose process has ended. */
async function leaveStore(store: Store, expected: Expectations, disk: SimDisk): Promise<void> {
  const run = new FaultyRun(store, [], expected);
  await run.put('old-1', 70);
  await run.put('old-large', 2300);
  await run.checkpoint();
  await run.batch(['old-2', 'old-3'], 500);
  await run.delete('old-1');
  await abandon(disk, store);
  disk.stopAt(0xffffffff);
}

/** A failed write of the log or the manifest, or a failed sync of values: nothing may be written. */
function isFatal(disk: SimDisk): boolean {
  return /(write log-\d+ \S+ sync|write MANIFEST \S+ sync|sync values) failed/.test(
    disk.operations(),
  );
}

export interface RunningStore {
  readonly store: Store;
  readonly run: FaultyRun;
  readonly disk: SimDisk;
  open(disk: SimDisk): Promise<Store>;
}

/**
 * What the store holds after the end of the process (`all` is there that completed), after a power
 * cut, and when it was closed. @throws Error.
 */
export async function checkEnds(
  { store, run, disk, open }: RunningStore,
  kinds: readonly ('all' | 'none' | 'random')[],
  seed = 0,
): Promise<void> {
  for (const kind of kinds) {
    const after = disk.crash(disk.eventCount, { kind, seed });
    const when = kind === 'all' ? 'killed' : `power cut, ${kind} kept`;
    await checkReopened(() => open(after), run.expected, when);
    after.release();
  }
  await run.attempt('close', () => store.close());
  await checkReopened(() => open(disk), run.expected, 'reopened');
}

/** Opens, looks, writes and closes, twice. @throws Error that says `when`. */
export async function checkReopened(
  open: () => Promise<Store>,
  expected: Expectations,
  when: string,
  wait: Settled = settled,
): Promise<void> {
  try {
    for (const pass of [1, 2]) {
      const store = await open();
      expected.check(store, `${when}, pass ${pass}`);
      const { damagedCount } = await store.verify();
      if (damagedCount > 0)
        throw new Error(`${when}: verify finds ${damagedCount} damaged records`);
      await wait('put', store.put(`extra-${pass}`, bytesOf(pass, 100)));
      await wait('close', store.close());
    }
  } catch (error) {
    throw new Error(`${when}: ${String(error)}`, { cause: error });
  }
}
