import { monitorEventLoopDelay, performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import type {
  Counters,
  Engine,
  EngineKey,
  LoadForm,
  OpenEngine,
  OpenOptions,
} from './adapters/adapter.js';
import { readsBetween } from './counters.js';
import { delaySample } from './delay.js';
import { LatencyHistogram, type Sample } from './measure.js';
import { identities, Random, ValueBlock, Zipfian } from './random.js';

/** What the engine's process is asked to do; one at a time, each with one answer. */
export type Stage =
  | { readonly stage: 'open'; readonly engine: string; readonly options: OpenOptions }
  | {
      readonly stage: 'load';
      readonly form: LoadForm;
      /** Sorted is how trees like it best; random is what `bulkLoad` rows compare. */
      readonly order: 'sorted' | 'random';
      readonly from?: number;
    }
  | { readonly stage: 'check'; readonly count: number }
  | { readonly stage: 'read-sync'; readonly milliseconds: number }
  | {
      readonly stage: 'read';
      readonly milliseconds: number;
      readonly depth: number;
      /** Zipfian, with this entry as the one that is read most; uniform when absent. */
      readonly hottest?: number;
    }
  | {
      readonly stage: 'put';
      readonly milliseconds: number;
      readonly depth: number;
      readonly sync: boolean;
    }
  | { readonly stage: 'prepare-gather'; readonly distribution: 'uniform' | 'zipfian' }
  | {
      readonly stage: 'gather';
      readonly milliseconds: number;
      readonly batch: number;
      readonly rowBytes: number;
    }
  | {
      readonly stage: 'batch-get';
      readonly milliseconds: number;
      readonly batch: number;
      /** Batches under way at once. */
      readonly depth: number;
    }
  | {
      readonly stage: 'delay';
      readonly during: 'idle' | 'checkpoint';
      readonly milliseconds: number;
    }
  | { readonly stage: 'delay-open'; readonly engine: string; readonly options: OpenOptions }
  | { readonly stage: 'dirty'; readonly count: number }
  | { readonly stage: 'settle'; readonly loaded: boolean }
  | { readonly stage: 'counters' }
  | { readonly stage: 'close' };

export interface StageAnswer {
  readonly sample?: Sample;
  readonly counters?: Counters | null;
}

export const GATHER_BATCH_MAX = 1024;
const GATHER_BATCHES = 256;
const SYNC_CHUNK = 512;
const PAGE_BYTES = 4096;

/** The identities of the gather's batches, the same for cairn, the peers and the native loop. */
export function gatherIdentities(
  all: Uint32Array,
  distribution: 'uniform' | 'zipfian',
): Uint32Array {
  const random = new Random(11);
  const picked = new Uint32Array(GATHER_BATCHES * GATHER_BATCH_MAX);
  const zipfian = distribution === 'zipfian' ? new Zipfian(all.length) : null;
  for (let i = 0; i < picked.length; i += 1) {
    // Identities are in random order already, so rank r is no neighbour of rank r + 1.
    const index = zipfian === null ? random.below(all.length) : zipfian.next(random);
    picked[i] = all[index] ?? 0;
  }
  return picked;
}

async function adapterOf(name: string): Promise<OpenEngine> {
  switch (name) {
    case 'cairn':
      return (await import('./adapters/cairn.js')).openEngine;
    case 'lmdb':
      return (await import('./adapters/lmdb.js')).openEngine;
    case 'classic-level':
      return (await import('./adapters/classic-level.js')).openEngine;
    default:
      throw new Error(`no adapter is named ${name}`);
  }
}

/** One engine, opened, loaded and driven in a process of its own. */
export class StageRunner {
  #engine: Engine | null = null;
  #options: OpenOptions | null = null;
  #all: Uint32Array = new Uint32Array(0);
  #keys: EngineKey[] = [];
  #batches = new Map<number, unknown[]>();
  #rows = new Uint8Array(0);
  #picked: Uint32Array = new Uint32Array(0);
  readonly #random = new Random(5);
  #zipfian: Zipfian | undefined;
  readonly #block = new ValueBlock();
  #version = 0;

  async run(stage: Stage): Promise<StageAnswer> {
    switch (stage.stage) {
      case 'open':
        return { sample: await this.#open(stage.engine, stage.options) };
      case 'load':
        return { sample: await this.#load(stage.form, stage.order, stage.from ?? 0) };
      case 'check':
        return { sample: await this.#check(stage.count) };
      case 'read-sync':
        return { sample: this.#readSync(stage.milliseconds) };
      case 'read':
        return { sample: await this.#read(stage.milliseconds, stage.depth, stage.hottest) };
      case 'put':
        return { sample: await this.#put(stage.milliseconds, stage.depth, stage.sync) };
      case 'prepare-gather':
        this.#picked = gatherIdentities(this.#all, stage.distribution);
        this.#batches.clear();
        return {};
      case 'gather':
        return { sample: await this.#gather(stage.milliseconds, stage.batch, stage.rowBytes) };
      case 'batch-get':
        return { sample: await this.#batchGet(stage.milliseconds, stage.batch, stage.depth) };
      case 'delay':
        return { sample: await this.#delay(stage.during, stage.milliseconds) };
      case 'delay-open':
        return { sample: await this.#delayOpen(stage.engine, stage.options) };
      case 'dirty':
        return { sample: await this.#dirty(stage.count) };
      case 'settle':
        await this.#opened().settle(stage.loaded);
        return {};
      case 'counters':
        return { counters: this.#opened().counters() };
      case 'close':
        await this.#engine?.close();
        this.#engine = null;
        return {};
    }
  }

  #opened(): Engine {
    if (this.#engine === null) throw new Error('no engine is open');
    return this.#engine;
  }

  #value(identity: number): Uint8Array {
    return this.#block.value(identity, this.#options?.valueBytes ?? 0);
  }

  async #open(name: string, options: OpenOptions): Promise<Sample> {
    const openEngine = await adapterOf(name);
    // The module's load is no part of opening a store.
    const begin = performance.now();
    this.#engine = await openEngine(options);
    const milliseconds = performance.now() - begin;
    this.#options = options;
    this.#all = identities(options.entries);
    return { value: milliseconds };
  }

  /** Entries per second, until durable. */
  async #load(form: LoadForm, order: 'sorted' | 'random', from: number): Promise<Sample> {
    const engine = this.#opened();
    const all = from === 0 ? this.#all : identities(this.#all.length, from);
    if (order === 'sorted') all.sort();
    const rows = form === 'rows' ? this.#block.rows(all, this.#options?.valueBytes ?? 0) : null;
    const value = (identity: number): Uint8Array => this.#value(identity);
    const prepared = engine.prepareLoad(all, form, rows);
    const begin = performance.now();
    await engine.load(prepared, value);
    const seconds = (performance.now() - begin) / 1000;
    // Back to random order: ranks of a distribution must not be neighbours.
    if (order === 'sorted' && from === 0) this.#all = identities(all.length);
    return { value: all.length / seconds, extra: { seconds } };
  }

  /** Reads some entries both ways and compares every byte: a fast wrong answer is none. */
  async #check(count: number): Promise<Sample> {
    const engine = this.#opened();
    for (let i = 0; i < count; i += 1) {
      const identity = this.#all[this.#random.below(this.#all.length)] ?? 0;
      const key = engine.key(identity);
      const expected = Buffer.from(this.#value(identity));
      const sync = engine.getSync(key);
      const later = await engine.get(key);
      if (sync === undefined || !expected.equals(sync))
        throw new Error(`wrong value of ${identity}`);
      if (later === undefined || !expected.equals(later))
        throw new Error(`wrong value of ${identity}`);
    }
    return { value: count };
  }

  #prepareKeys(): void {
    if (this.#keys.length > 0) return;
    const engine = this.#opened();
    this.#keys = Array.from(this.#all, (identity) => engine.key(identity));
  }

  #anyKey(hottest?: number): EngineKey {
    const { length } = this.#keys;
    if (hottest === undefined) return this.#keys[this.#random.below(length)] ?? 0;
    this.#zipfian ??= new Zipfian(length);
    return this.#keys[(this.#zipfian.next(this.#random) + hottest) % length] ?? 0;
  }

  #readSync(milliseconds: number): Sample {
    this.#prepareKeys();
    const engine = this.#opened();
    const begin = performance.now();
    let operations = 0;
    let bytes = 0;
    let elapsed = 0;
    while (elapsed < milliseconds) {
      for (let i = 0; i < SYNC_CHUNK; i += 1) bytes += engine.getSync(this.#anyKey())?.length ?? 0;
      operations += SYNC_CHUNK;
      elapsed = performance.now() - begin;
    }
    const expected = operations * (this.#options?.valueBytes ?? 0);
    if (bytes !== expected) throw new Error(`read ${bytes} bytes, not ${expected}`);
    // The clock would cost as much as the get: latencies come from a short pass of their own.
    const histogram = new LatencyHistogram();
    for (let i = 0; i < 20_000; i += 1) {
      const key = this.#anyKey();
      const start = performance.now();
      engine.getSync(key);
      histogram.add(performance.now() - start);
    }
    return { value: (operations / elapsed) * 1000, latency: histogram.summary() };
  }

  async #read(milliseconds: number, depth: number, hottest?: number): Promise<Sample> {
    this.#prepareKeys();
    const engine = this.#opened();
    const before = engine.counters();
    const length = this.#options?.valueBytes ?? 0;
    const one = async (): Promise<void> => {
      const value = await engine.get(this.#anyKey(hottest));
      if (value?.length !== length) throw new Error('a get missed its value');
    };
    const sample = await this.#drive(milliseconds, depth, one);
    const extra = { ...sample.extra, ...readsBetween(before, engine.counters()) };
    return { ...sample, extra };
  }

  async #put(milliseconds: number, depth: number, sync: boolean): Promise<Sample> {
    this.#prepareKeys();
    const engine = this.#opened();
    const before = engine.counters();
    const length = this.#options?.valueBytes ?? 0;
    const all = this.#all;
    const one = async (): Promise<void> => {
      const index = this.#random.below(all.length);
      this.#version += 1;
      const value = this.#block.value(all[index] ?? 0, length, this.#version);
      const key = this.#keys[index] ?? 0;
      if (sync) engine.putSync?.(key, value);
      else await engine.put(key, value);
    };
    const sample = await this.#drive(milliseconds, depth, one);
    const after = engine.counters();
    if (before === null || after === null) return sample;
    // What the background still has to write belongs to these puts.
    await engine.settle(false);
    const settled = engine.counters() ?? after;
    const puts = after.puts - before.puts;
    const written =
      settled.logBytes - before.logBytes + settled.deviceWriteBytes - before.deviceWriteBytes;
    return {
      ...sample,
      extra: {
        ...sample.extra,
        puts,
        groups: after.logGroups - before.logGroups,
        logBytes: after.logBytes - before.logBytes,
        amplification: written / (puts * length),
      },
    };
  }

  /** `depth` loops, each with one operation under way, until the time is over. */
  async #drive(milliseconds: number, depth: number, one: () => Promise<void>): Promise<Sample> {
    const histogram = new LatencyHistogram();
    const begin = performance.now();
    const end = begin + milliseconds;
    let operations = 0;
    const chain = async (): Promise<void> => {
      let start = performance.now();
      while (start < end) {
        await one();
        const now = performance.now();
        histogram.add(now - start);
        operations += 1;
        start = now;
      }
    };
    await Promise.all(Array.from({ length: depth }, chain));
    const seconds = (performance.now() - begin) / 1000;
    return {
      value: operations / seconds,
      latency: histogram.summary(),
      extra: { operations, seconds },
    };
  }

  async #gather(milliseconds: number, batch: number, rowBytes: number): Promise<Sample> {
    const engine = this.#opened();
    const batches = this.#preparedBatches(batch);
    if (this.#rows.length !== batch * rowBytes) this.#rows = new Uint8Array(batch * rowBytes);
    const histogram = new LatencyHistogram();
    const begin = performance.now();
    let start = begin;
    let found = 0;
    let calls = 0;
    while (start - begin < milliseconds) {
      found += await engine.gather(batches[calls % batches.length], this.#rows, rowBytes);
      calls += 1;
      const now = performance.now();
      histogram.add(now - start);
      start = now;
    }
    if (found !== calls * batch) throw new Error(`${calls * batch - found} rows were not found`);
    const last = (calls - 1) % batches.length;
    this.#compareRows(last * batch, batch, rowBytes);
    return { value: found / ((start - begin) / 1000), latency: histogram.summary() };
  }

  /** Keys per second; how many reads the device saw for them is in the extras. */
  async #batchGet(milliseconds: number, batch: number, depth: number): Promise<Sample> {
    const engine = this.#opened();
    const batches = this.#preparedBatches(batch);
    const before = engine.counters();
    let at = 0;
    const one = async (): Promise<void> => {
      const found = await engine.batchGet?.(batches[at++ % batches.length]);
      if (found !== batch) throw new Error(`${found} of ${batch} values were found`);
    };
    const sample = await this.#drive(milliseconds, depth, one);
    const after = engine.counters();
    if (before === null || after === null) return sample;
    const seconds = sample.extra?.['seconds'] ?? Number.NaN;
    return {
      ...sample,
      value: sample.value * batch,
      extra: {
        ...sample.extra,
        readsPerSecond: (after.deviceReads - before.deviceReads) / seconds,
        pagesPerSecond: (after.deviceReadBytes - before.deviceReadBytes) / PAGE_BYTES / seconds,
      },
    };
  }

  #preparedBatches(batch: number): unknown[] {
    let batches = this.#batches.get(batch);
    if (batches === undefined) {
      batches = [];
      for (let at = 0; at + batch <= this.#picked.length; at += batch) {
        batches.push(this.#opened().prepareBatch(this.#picked.subarray(at, at + batch)));
      }
      this.#batches.set(batch, batches);
    }
    return batches;
  }

  #compareRows(from: number, batch: number, rowBytes: number): void {
    for (let i = 0; i < batch; i += 1) {
      const row = this.#rows.subarray(i * rowBytes, (i + 1) * rowBytes);
      const expected = this.#block.value(this.#picked[from + i] ?? 0, rowBytes);
      if (!expected.equals(row)) throw new Error(`row ${i} of the last batch is wrong`);
    }
  }

  /** p99 of the loop's delay in milliseconds: raw, the timer's own millisecond is in it. */
  async #delay(during: 'idle' | 'checkpoint', milliseconds: number): Promise<Sample> {
    const engine = this.#opened();
    const monitor = monitorEventLoopDelay({ resolution: 1 });
    await sleep(20);
    monitor.enable();
    const end = performance.now() + milliseconds;
    let checkpoints = 0;
    if (during === 'idle') {
      await sleep(milliseconds);
    } else {
      while (performance.now() < end) {
        await this.#change();
        await engine.checkpoint?.();
        checkpoints += 1;
      }
    }
    monitor.disable();
    return delaySample(monitor, { checkpoints });
  }

  /** So that there is something to write in the next checkpoint. */
  async #change(): Promise<void> {
    const identity = this.#all[this.#random.below(this.#all.length)] ?? 0;
    await this.#opened().put(this.#opened().key(identity), this.#value(identity));
  }

  async #delayOpen(name: string, options: OpenOptions): Promise<Sample> {
    const openEngine = await adapterOf(name);
    const monitor = monitorEventLoopDelay({ resolution: 1 });
    await sleep(20);
    monitor.enable();
    const begin = performance.now();
    this.#engine = await openEngine(options);
    const milliseconds = performance.now() - begin;
    monitor.disable();
    this.#options = options;
    this.#all = identities(options.entries);
    return delaySample(monitor, { milliseconds });
  }

  /** Writes that only the log holds when the process is killed right after. */
  async #dirty(count: number): Promise<Sample> {
    const engine = this.#opened();
    let pending: Promise<void>[] = [];
    for (let i = 0; i < count; i += 1) {
      const identity = this.#all[i % this.#all.length] ?? 0;
      pending.push(engine.put(engine.key(identity), this.#value(identity)));
      if (pending.length === 1024) {
        await Promise.all(pending);
        pending = [];
      }
    }
    await Promise.all(pending);
    return { value: count };
  }
}
