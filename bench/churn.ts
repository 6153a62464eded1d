// node --import tsx bench/churn.ts DIRECTORY ENTRIES BYTES|mixed ROUNDS [ALLOCATOR]: overwrites a store
// by a zipfian order and says in one line of JSON how much space it took meanwhile. A process of its own.
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { monitorEventLoopDelay, performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import type { Store } from '../ts/engine/api.js';
import { LatencyHistogram } from './measure.js';
import { engineEntry } from './paths.js';
import { identities, Random, textKey, ValueBlock, Zipfian } from './random.js';

const IN_FLIGHT = 128;
const SAMPLE_MS = 100;
/** Mixed sizes: 200 to 4000 bytes, another one at each overwrite. */
const MIXED_MIN = 200;
const MIXED_SPAN = 3800;

export interface ChurnResult {
  readonly entries: number;
  readonly liveBytes: number;
  readonly putsPerSecond: number;
  /** Largest and last of what cells and log took, over live bytes at that moment. */
  readonly allocatedRatioMax: number;
  readonly allocatedRatioEnd: number;
  readonly logBytesMax: number;
  /** As du says, the log's files left out. */
  readonly diskRatioMax: number;
  readonly diskRatioEnd: number;
  readonly writeAmplification: number;
  readonly movedBytes: number;
  readonly checkpoints: number;
  readonly getP99: number;
  readonly delayP99: number;
  readonly delayMax: number;
}

interface EntryPoint {
  open(path: string, config: Readonly<Record<string, unknown>>): Promise<Store>;
}

/** Bytes that the files take on the device: of the log, and of all others. */
async function diskBytes(path: string): Promise<{ log: number; others: number }> {
  let log = 0;
  let others = 0;
  for (const name of await readdir(path)) {
    const found = await stat(join(path, name)).catch(() => undefined);
    const bytes = (found?.blocks ?? 0) * 512;
    if (name.startsWith('log')) log += bytes;
    else others += bytes;
  }
  return { log, others };
}

async function churn(
  path: string,
  entries: number,
  valueBytes: number | undefined,
  rounds: number,
  allocator: string | undefined,
): Promise<ChurnResult> {
  // Named, SSD_SLAB has the seed's classes: left alone it has those for every size.
  const value = allocator === undefined ? {} : { value: { ssd_allocator: { type: allocator } } };
  const entry = (await import(pathToFileURL(engineEntry().file).href)) as EntryPoint;
  const store = await entry.open(path, { key: { type: 'bytes' }, ...value });
  const all = identities(entries);
  const block = new ValueBlock();
  const random = new Random(3);
  const sizes = new Uint16Array(entries);
  let liveBytes = 0;
  const valueOf = (at: number, version: number): Buffer => {
    const size = valueBytes ?? MIXED_MIN + random.below(MIXED_SPAN);
    liveBytes += size - (sizes[at] as number);
    sizes[at] = size;
    return block.value(all[at] as number, size, version);
  };
  const keyOf = (at: number): string => textKey(all[at] as number);
  function* pairs(): Generator<[string, Buffer]> {
    for (let at = 0; at < entries; at++) yield [keyOf(at), valueOf(at, 0)];
  }
  await store.bulkLoad(pairs());
  liveBytes += entries * 16;
  const written = { bytes: 0, device: store.stats() };
  let allocatedRatioMax = 0;
  let diskRatioMax = 0;
  let logBytesMax = 0;
  let last = { allocated: 0, disk: 0 };
  const sample = async (): Promise<void> => {
    const { values } = store.stats();
    const { log, others } = await diskBytes(path);
    last = { allocated: values.allocatedBytes / liveBytes, disk: others / liveBytes };
    allocatedRatioMax = Math.max(allocatedRatioMax, last.allocated);
    diskRatioMax = Math.max(diskRatioMax, last.disk);
    logBytesMax = Math.max(logBytesMax, log);
    if (process.env['CHURN_TRACE'] !== undefined) {
      const { liveBytes: live, waitingBytes, movedBytes, reservedBytes, allocatedBytes } = values;
      const parts = [allocatedBytes, live, waitingBytes, movedBytes, reservedBytes, others, log];
      const seconds = Math.round((performance.now() - began) / 1000);
      const mebibytes = parts.map((bytes) => Math.round(bytes / 2 ** 20));
      process.stderr.write(`${seconds} ${puts} ${mebibytes.join(' ')}\n`);
    }
  };
  let puts = 0;
  const total = entries * rounds;
  const zipfian = new Zipfian(entries);
  const latency = new LatencyHistogram();
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  const began = performance.now();
  const writer = async (): Promise<void> => {
    while (puts < total) {
      const version = ++puts;
      const at = zipfian.next(random);
      const value = valueOf(at, version);
      written.bytes += value.length + 16;
      await store.put(keyOf(at), value, { durability: 'process' });
    }
  };
  const reader = async (): Promise<void> => {
    while (puts < total) {
      const before = performance.now();
      await store.get(keyOf(random.below(entries)));
      latency.add(performance.now() - before);
      await sleep(1);
    }
  };
  const sampler = async (): Promise<void> => {
    for (; puts < total; await sleep(SAMPLE_MS)) await sample();
  };
  await Promise.all([reader(), sampler(), ...Array.from({ length: IN_FLIGHT }, writer)]);
  const seconds = (performance.now() - began) / 1000;
  delay.disable();
  await sample();
  const { values, log, checkpoint } = store.stats();
  const before = written.device;
  const device =
    values.deviceWriteBytes -
    before.values.deviceWriteBytes +
    log.bytesWritten -
    before.log.bytesWritten +
    checkpoint.count * checkpoint.bytes;
  const { damagedCount, records } = await store.verify();
  if (damagedCount > 0 || records !== entries) throw new Error(`${damagedCount} records damaged`);
  await store.close();
  return {
    entries,
    liveBytes,
    putsPerSecond: total / seconds,
    allocatedRatioMax,
    allocatedRatioEnd: last.allocated,
    logBytesMax,
    diskRatioMax,
    diskRatioEnd: last.disk,
    writeAmplification: device / written.bytes,
    movedBytes: values.movedBytes,
    checkpoints: checkpoint.count,
    getP99: latency.quantile(0.99),
    delayP99: delay.percentile(99) / 1e6,
    delayMax: delay.max / 1e6,
  };
}

const [path, entries, bytes, rounds, allocator] = process.argv.slice(2);
if (path === undefined) throw new Error('a directory is needed');
const valueBytes = bytes === 'mixed' ? undefined : Number(bytes);
const result = await churn(path, Number(entries), valueBytes, Number(rounds), allocator);
process.stdout.write(`${JSON.stringify(result)}\n`);
