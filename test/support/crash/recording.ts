import type { SimDisk } from '../../../ts/bindings/addon.js';
import { isCairnError } from '../../../ts/common/errors.js';
import type { ResolvedConfig } from '../../../ts/config/types.js';
import type { BatchOperation, DurabilityLevel, Store } from '../../../ts/engine/api.js';
import type { Engine } from '../../../ts/engine/engine.js';
import { newSimDisk } from '../sim-disk.js';
import { Oracle } from './oracle.js';
import { SeededRandom } from './random.js';
import { configOf, INLINE_BYTES, openOn, segmentBytesOf, storeKey } from './store.js';
import type { Step, Workload } from './workload.js';

/** A workload that ran to its end: what the disk saw and what the caller was told. */
export interface Recording {
  readonly workload: Workload;
  readonly config: ResolvedConfig;
  readonly disk: SimDisk;
  readonly oracle: Oracle;
  /** Events before the last step and after it, until all that it began was acknowledged. */
  readonly lastStep: { readonly from: number; readonly to: number };
}

const SMALL_BYTES = 40;
const OTHER_BYTES = [0, 150, 400, 1500];
const FULL_WRITES_MAX = 400;
const LARGE_BYTES = [INLINE_BYTES + 1, 5000, 9000];

export async function record(workload: Workload): Promise<Recording> {
  const disk = newSimDisk({ seed: workload.seed, record: true, reorder: workload.reorder });
  const config = configOf(workload);
  const oracle = new Oracle();
  const driver = new Driver(workload, disk, config, oracle);
  await driver.run();
  const { lastStep } = driver;
  return { workload, config, disk, oracle, lastStep };
}

class Driver {
  readonly #workload: Workload;
  readonly #disk: SimDisk;
  readonly #config: ResolvedConfig;
  readonly #oracle: Oracle;
  readonly #random: SeededRandom;
  #store!: Store;
  #pending: Promise<unknown>[] = [];
  #lastKey = 0;
  /** Of a workload of one step with what comes before it. */
  lastStep = { from: 0, to: 0 };

  constructor(workload: Workload, disk: SimDisk, config: ResolvedConfig, oracle: Oracle) {
    this.#workload = workload;
    this.#disk = disk;
    this.#config = config;
    this.#oracle = oracle;
    this.#random = new SeededRandom(workload.seed);
  }

  async run(): Promise<void> {
    this.#store = await openOn(this.#disk, this.#config, this.#workload);
    // An enumerated workload would overwrite and delete nothing if it began with an empty store.
    this.#put(this.#newKey(), SMALL_BYTES, 'sync');
    this.#put(this.#newKey(), SMALL_BYTES, 'sync');
    await this.#settle();
    for (const [at, step] of this.#workload.steps.entries()) {
      if (at > 0) this.lastStep.from = this.#disk.eventCount;
      await this.#step(step);
      if (!step.overlapped) await this.#settle();
    }
    await this.#settle();
    this.lastStep.to = this.#disk.eventCount;
    const count = this.#oracle.returnedCount;
    await this.#store.close();
    this.#oracle.allDurable(count, this.#disk.eventCount);
  }

  async #step({ kind, level }: Step): Promise<void> {
    switch (kind) {
      case 'putNew':
        return this.#put(this.#newKey(), SMALL_BYTES, level);
      case 'overwriteSame':
        return this.#put(this.#someKey(), SMALL_BYTES, level);
      case 'overwriteOther':
        return this.#put(this.#someKey(), this.#random.pick(OTHER_BYTES), level);
      case 'delete':
        return this.#delete(this.#someKey(), level);
      case 'batch':
        return this.#batch(level);
      case 'checkpoint':
        return void this.#pending.push(this.#store.checkpoint());
      case 'rotate':
        return this.#many(Math.ceil(segmentBytesOf(this.#workload.valueType) / 1800), 1500, level);
      case 'fill':
        return this.#many(30, SMALL_BYTES, level);
      case 'grow':
        return this.#many(12, INLINE_BYTES, level);
      case 'churn':
        return this.#churn(level);
      case 'rest':
        return void this.#pending.push((this.#store as Engine).markDurable());
      case 'full':
        return this.#full(level);
      case 'large':
        return this.#put(this.#newKey(), this.#random.pick(LARGE_BYTES), level);
      case 'bulkLoad':
        return this.#bulkLoad();
      case 'reopen':
        return this.#reopen();
      case 'compact':
        return this.#compact(level);
    }
  }

  /** Waits until all that began was acknowledged. */
  async #settle(): Promise<void> {
    await Promise.all(this.#pending);
    this.#pending = [];
  }

  #newKey(): string {
    return `k${++this.#lastKey}`;
  }

  /** One of the few keys that are written again and again, or any. */
  #someKey(): string {
    const bound = this.#random.chance(0.7) ? Math.min(4, this.#lastKey) : this.#lastKey;
    return `k${1 + this.#random.below(bound)}`;
  }

  /** Says in every sector whose value it is, so that a mix of two shows. */
  #value(key: string, bytes: number): Buffer {
    const write = this.#oracle.writes.length + 1;
    return Buffer.alloc(bytes, `${this.#workload.name}/${key}/${write};`);
  }

  #await(call: Promise<unknown>, write: ReturnType<Oracle['begin']>): void {
    this.#pending.push(call.then(() => this.#oracle.acknowledged(write, this.#disk.eventCount)));
  }

  #put(key: string, bytes: number, level: DurabilityLevel): void {
    const value = this.#value(key, bytes);
    const effects = new Map([[key, value]]);
    const write = this.#oracle.begin(level, effects, this.#disk.eventCount);
    const stored = storeKey(this.#workload.keyType, key);
    // A synchronous call may overtake calls that wait, so it is made when there are none.
    if (this.#pending.length === 0 && this.#random.chance(0.1)) {
      this.#store.putSync(stored, value, { durability: level });
      this.#oracle.acknowledged(write, this.#disk.eventCount);
      return;
    }
    this.#await(this.#store.put(stored, value, { durability: level }), write);
  }

  #delete(key: string, level: DurabilityLevel): void {
    const write = this.#oracle.begin(level, new Map([[key, undefined]]), this.#disk.eventCount);
    const stored = storeKey(this.#workload.keyType, key);
    // A key that was not there gives no record, so that its answer says nothing of other writes.
    this.#pending.push(
      this.#store.delete(stored, { durability: level }).then((found) => {
        if (found) this.#oracle.acknowledged(write, this.#disk.eventCount);
      }),
    );
  }

  #batch(level: DurabilityLevel): void {
    const operations: BatchOperation[] = [];
    const effects = new Map<string, Buffer | undefined>();
    const count = 2 + this.#random.below(4);
    for (let at = 0; at < count; at++) {
      const name = this.#random.chance(0.4) ? this.#newKey() : this.#someKey();
      const key = storeKey(this.#workload.keyType, name);
      if (this.#random.chance(0.25)) {
        operations.push({ type: 'delete', key });
        effects.set(name, undefined);
      } else {
        const sizes = this.#random.chance(0.1) ? LARGE_BYTES : [SMALL_BYTES, ...OTHER_BYTES];
        const value = this.#value(name, this.#random.pick(sizes));
        operations.push({ type: 'put', key, value });
        effects.set(name, value);
      }
    }
    const write = this.#oracle.begin(level, effects, this.#disk.eventCount);
    this.#await(this.#store.batch(operations, { durability: level }), write);
  }

  #many(count: number, bytes: number, level: DurabilityLevel): void {
    for (let at = 0; at < count; at++) {
      // Every other one overwrites: a log that is full of one version only tests less.
      const key = at % 2 === 0 ? this.#newKey() : this.#someKey();
      this.#put(key, bytes, at === count - 1 ? level : 'none');
    }
  }

  async #churn(level: DurabilityLevel): Promise<void> {
    const keys = [this.#newKey(), this.#newKey(), this.#newKey()];
    for (const key of keys) this.#put(key, SMALL_BYTES, 'none');
    await this.#flush();
    for (const key of keys) this.#delete(key, 'none');
    this.#put(keys[0] ?? 'k1', 700, level);
    await this.#settle();
    await this.#store.checkpoint();
    for (const key of keys) this.#put(key, SMALL_BYTES, level);
  }

  async #full(level: DurabilityLevel): Promise<void> {
    await this.#settle();
    this.#disk.setCapacity(1);
    const keys = (count: number): string[] => Array.from({ length: count }, () => this.#newKey());
    for (let at = 0; await this.#tryBatch(keys(6), 1500, 'none'); at++) {
      if (at === FULL_WRITES_MAX) throw new Error('a full device takes everything');
    }
    // What is left of the segment takes some of it.
    await this.#tryBatch(keys(60), 200, level);
    this.#delete(this.#someKey(), level);
    await this.#settle();
    this.#disk.setCapacity(0);
    this.#put(this.#newKey(), SMALL_BYTES, level);
  }

  /** False when there was no space. */
  async #tryBatch(
    keys: readonly string[],
    bytes: number,
    level: DurabilityLevel,
  ): Promise<boolean> {
    const effects = new Map(keys.map((key) => [key, this.#value(key, bytes)]));
    const write = this.#oracle.begin(level, effects, this.#disk.eventCount);
    const stored = keys.map((key) => storeKey(this.#workload.keyType, key));
    try {
      await this.#store.batchPut(stored, [...effects.values()], { durability: level });
    } catch (error) {
      if (!isCairnError(error, 'CAIRN_NO_SPACE')) throw error;
      this.#oracle.withdraw(write);
      return false;
    }
    this.#oracle.acknowledged(write, this.#disk.eventCount);
    return true;
  }

  async #compact(level: DurabilityLevel): Promise<void> {
    const bytes = this.#random.pick([700, 980, 1040]);
    const keys = Array.from({ length: 32 }, () => this.#newKey());
    for (const key of keys) this.#put(key, bytes, 'none');
    await this.#settle();
    const left = keys.filter((_, at) => at % 4 === 1);
    for (const key of keys) if (!left.includes(key)) this.#delete(key, 'none');
    await this.#settle();
    const before = this.#store.stats().values.movedBytes;
    await this.#store.checkpoint();
    for (let turn = 0; turn < 30 && this.#store.stats().values.movedBytes === before; turn++) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    // The log gets the new places meanwhile: some of these are older than the move, some newer.
    for (const key of left.slice(0, this.#random.below(4))) {
      if (this.#random.chance(0.3)) this.#delete(key, level);
      else this.#put(key, this.#random.pick([bytes, SMALL_BYTES]), level);
    }
  }

  async #flush(): Promise<void> {
    const count = this.#oracle.returnedCount;
    await this.#store.flush();
    this.#oracle.allDurable(count, this.#disk.eventCount);
  }

  /** After a crash a prefix of a load is there, so that each entry counts as a write. */
  async #bulkLoad(): Promise<void> {
    await this.#settle();
    const entries: [string | bigint, Buffer][] = [];
    const count = 3 + this.#random.below(8);
    for (let at = 0; at < count; at++) {
      const name = this.#random.chance(0.7) ? this.#newKey() : this.#someKey();
      const value = this.#value(name, this.#random.pick([SMALL_BYTES, 400, 3000]));
      this.#oracle.begin('none', new Map([[name, value]]), this.#disk.eventCount);
      entries.push([storeKey(this.#workload.keyType, name), value]);
    }
    const all = this.#oracle.writes.length;
    await this.#store.bulkLoad(entries);
    this.#oracle.allDurable(all, this.#disk.eventCount);
  }

  async #reopen(): Promise<void> {
    await this.#settle();
    const count = this.#oracle.returnedCount;
    await this.#store.close();
    this.#oracle.allDurable(count, this.#disk.eventCount);
    this.#store = await openOn(this.#disk, this.#config, this.#workload);
  }
}
