import type { BatchOperation, DurabilityLevel, Store } from '../../../ts/index.js';
import { isCairnError } from '../../../ts/common/errors.js';
import type { SeededRandom } from '../crash/random.js';
import { ABSENT } from './checker.js';
import type { Recorder } from './recorder.js';
import { putOf, valueOf, type Codec } from './values.js';

export const KEYS = 40;
/** Asked for more often, so that many calls meet on them. */
const HOT_KEYS = 4;

export interface Traffic {
  readonly store: Store;
  readonly recorder: Recorder;
  readonly random: SeededRandom;
  readonly codec: Codec;
  /** Calls not made yet; the clients share them. */
  left: number;
  /** Nothing that reads: what a read saw of a write under way may go with it in a kill. */
  readonly writesOnly: boolean;
  readonly levels: readonly DurabilityLevel[];
}

type Call = (traffic: Traffic) => Promise<void>;

const WRITES: readonly (readonly [number, Call])[] = [
  [22, put],
  [3, putSync],
  [3, deleteInBatch],
  [8, batch],
  [4, batchPut],
  [0.2, bulkLoad],
  [0.2, async ({ store }) => store.checkpoint()],
  [0.4, async ({ store }) => store.flush()],
];

const ALL: readonly (readonly [number, Call])[] = [
  ...WRITES,
  [24, get],
  [6, getSync],
  [5, has],
  [7, deleteOne],
  [2, deleteSync],
  [8, batchGet],
  [4, batchGetInto],
  [0.3, iterate],
  [0.1, verify],
  [0.05, abortedPut],
];

/** Makes calls, `width` at a time, until none is left or the store is closed. */
export async function runClients(traffic: Traffic, width: number): Promise<void> {
  const calls = traffic.writesOnly ? WRITES : ALL;
  const weights = calls.reduce((sum, [weight]) => sum + weight, 0);
  const choose = (): Call => {
    let at = (traffic.random.next() / 2 ** 32) * weights;
    return (calls.find(([weight]) => (at -= weight) < 0) ?? calls[0]!)[1];
  };
  const client = async (): Promise<void> => {
    while (traffic.left-- > 0) {
      try {
        await choose()(traffic);
      } catch (error) {
        if (!isCairnError(error, 'CAIRN_CLOSED')) throw error;
        return;
      }
    }
  };
  await Promise.all(Array.from({ length: width }, client));
}

function anyKey({ random }: Traffic): number {
  return random.below(random.chance(0.4) ? HOT_KEYS : KEYS);
}

function someKeys(traffic: Traffic): number[] {
  const count = 1 + traffic.random.below(6);
  return [...new Set(Array.from({ length: count }, () => anyKey(traffic)))];
}

function levelOf({ random, levels }: Traffic): { durability: DurabilityLevel } {
  return { durability: random.pick(levels) };
}

/** Runs a call that stands for several records: all have its outcome. */
async function recorded<T>(
  { recorder }: Traffic,
  ids: readonly number[],
  call: () => T | Promise<T>,
  resultOf: (result: T, at: number) => number | undefined,
): Promise<void> {
  let result: T;
  try {
    result = await call();
  } catch (error) {
    for (const id of ids) recorder.fail(id);
    throw error;
  }
  for (const [at, id] of ids.entries()) recorder.end(id, resultOf(result, at));
}

const nothing = (): undefined => undefined;

async function put(traffic: Traffic): Promise<void> {
  const { store, recorder, codec } = traffic;
  const key = anyKey(traffic);
  const id = recorder.begin('put', key);
  const value = valueOf(codec, id, key);
  const call = (): Promise<void> => store.put(codec.keyOf(key), value, levelOf(traffic));
  await recorded(traffic, [id], call, nothing);
}

async function putSync(traffic: Traffic): Promise<void> {
  const { store, recorder, codec } = traffic;
  const key = anyKey(traffic);
  const id = recorder.begin('put', key);
  const value = valueOf(codec, id, key);
  const call = (): void => store.putSync(codec.keyOf(key), value, levelOf(traffic));
  await recorded(traffic, [id], call, nothing);
}

/** Its outcome is open: it was handed over before the signal came. */
async function abortedPut(traffic: Traffic): Promise<void> {
  const { store, recorder, codec } = traffic;
  const key = anyKey(traffic);
  const id = recorder.begin('put', key);
  const abort = new AbortController();
  const call = async (): Promise<void> => {
    const done = store.put(codec.keyOf(key), valueOf(codec, id, key), { signal: abort.signal });
    abort.abort();
    await done;
  };
  await recorded(traffic, [id], call, nothing).catch((error: unknown) => {
    if (!isCairnError(error, 'CAIRN_ABORTED')) throw error;
  });
}

async function deleteOne(traffic: Traffic): Promise<void> {
  const { store, recorder, codec } = traffic;
  const key = anyKey(traffic);
  const call = (): Promise<boolean> => store.delete(codec.keyOf(key), levelOf(traffic));
  await recorded(traffic, [recorder.begin('delete', key)], call, Number);
}

async function deleteSync(traffic: Traffic): Promise<void> {
  const { store, recorder, codec } = traffic;
  const key = anyKey(traffic);
  const call = (): boolean => store.deleteSync(codec.keyOf(key), levelOf(traffic));
  await recorded(traffic, [recorder.begin('delete', key)], call, Number);
}

/** Says nothing of what was there. */
async function deleteInBatch(traffic: Traffic): Promise<void> {
  const { store, recorder, codec } = traffic;
  const key = anyKey(traffic);
  const call = (): Promise<void> => store.batch([{ type: 'delete', key: codec.keyOf(key) }]);
  await recorded(traffic, [recorder.begin('delete', key)], call, nothing);
}

async function batch(traffic: Traffic): Promise<void> {
  const { store, recorder, random, codec } = traffic;
  const start = recorder.tick();
  const ids: number[] = [];
  const operations = someKeys(traffic).map((key): BatchOperation => {
    const isPut = random.chance(0.7);
    const id = recorder.begin(isPut ? 'put' : 'delete', key, start);
    ids.push(id);
    return isPut
      ? { type: 'put', key: codec.keyOf(key), value: valueOf(codec, id, key) }
      : { type: 'delete', key: codec.keyOf(key) };
  });
  await recorded(traffic, ids, () => store.batch(operations, levelOf(traffic)), nothing);
}

async function batchPut(traffic: Traffic): Promise<void> {
  const { store, recorder, codec } = traffic;
  const start = recorder.tick();
  const keys = someKeys(traffic);
  const ids = keys.map((key) => recorder.begin('put', key, start));
  const values = ids.map((id, at) => valueOf(codec, id, keys[at] as number));
  const call = (): Promise<void> => store.batchPut(keys.map(codec.keyOf), values, levelOf(traffic));
  await recorded(traffic, ids, call, nothing);
}

async function bulkLoad(traffic: Traffic): Promise<void> {
  const { store, recorder, codec } = traffic;
  const start = recorder.tick();
  const keys = someKeys(traffic);
  const ids = keys.map((key) => recorder.begin('put', key, start));
  const entries = ids.map((id, at) => {
    const key = keys[at] as number;
    return [codec.keyOf(key), valueOf(codec, id, key)] as const;
  });
  await recorded(traffic, ids, () => store.bulkLoad(entries), nothing);
}

async function get(traffic: Traffic): Promise<void> {
  const { store, recorder, codec } = traffic;
  const key = anyKey(traffic);
  const ids = [recorder.begin('get', key)];
  const call = (): Promise<Buffer | undefined> => store.get(codec.keyOf(key));
  await recorded(traffic, ids, call, (value) => putOf(codec, value, key));
}

async function getSync(traffic: Traffic): Promise<void> {
  const { store, recorder, codec } = traffic;
  const key = anyKey(traffic);
  const ids = [recorder.begin('get', key)];
  const call = (): Buffer | undefined => store.getSync(codec.keyOf(key));
  await recorded(traffic, ids, call, (value) => putOf(codec, value, key));
}

async function has(traffic: Traffic): Promise<void> {
  const { store, recorder, random, codec } = traffic;
  const key = anyKey(traffic);
  const ids = [recorder.begin('has', key)];
  const name = codec.keyOf(key);
  const call = (): boolean | Promise<boolean> =>
    random.chance(0.3) ? store.hasSync(name) : store.has(name);
  await recorded(traffic, ids, call, Number);
}

async function batchGet(traffic: Traffic): Promise<void> {
  const { store, recorder, codec } = traffic;
  const start = recorder.tick();
  const keys = someKeys(traffic);
  const ids = keys.map((key) => recorder.begin('get', key, start));
  const call = (): Promise<(Buffer | undefined)[]> => store.batchGet(keys.map(codec.keyOf));
  await recorded(traffic, ids, call, (values, at) => putOf(codec, values[at], keys[at] as number));
}

/** Where all values are rows of one length. */
async function batchGetInto(traffic: Traffic): Promise<void> {
  const { store, recorder, codec } = traffic;
  const { rowBytes } = codec;
  if (rowBytes === undefined) return batchGet(traffic);
  const start = recorder.tick();
  const keys = someKeys(traffic);
  const ids = keys.map((key) => recorder.begin('get', key, start));
  const rows = Buffer.alloc(keys.length * rowBytes);
  const names = BigUint64Array.from(keys, (key) => codec.keyOf(key) as bigint);
  await recorded(
    traffic,
    ids,
    () => store.batchGetInto(names, rows, rowBytes),
    ({ missingIndexes }, at) => {
      if (missingIndexes.includes(at)) return ABSENT;
      const row = rows.subarray(at * rowBytes, (at + 1) * rowBytes);
      return putOf(codec, row, keys[at] as number);
    },
  );
}

/** Each key is read between the beginning and its turn; one that does not come was absent meanwhile. */
async function iterate({ store, recorder, codec }: Traffic): Promise<void> {
  const start = recorder.tick();
  const seen = new Set<number>();
  for await (const [name, value] of store.entries()) {
    const key = codec.numberOf(name);
    if (seen.has(key)) throw new Error(`iteration yields key ${key} twice`);
    seen.add(key);
    recorder.end(recorder.begin('get', key, start), putOf(codec, value, key));
  }
  for (let key = 0; key < KEYS; key++) {
    if (!seen.has(key)) recorder.end(recorder.begin('has', key, start), 0);
  }
}

async function verify({ store }: Traffic): Promise<void> {
  const { damaged } = await store.verify();
  if (damaged.length > 0) throw new Error(`verify: ${JSON.stringify(damaged)}`);
}

/** Every key, and that there are no others. */
export async function readAll({ store, recorder, codec }: Traffic): Promise<void> {
  let present = 0;
  for (let key = 0; key < KEYS; key++) {
    const id = recorder.begin('get', key);
    const put = putOf(codec, await store.get(codec.keyOf(key)), key);
    recorder.end(id, put);
    if (put !== ABSENT) present++;
  }
  if (store.size !== present) throw new Error(`size is ${store.size}, ${present} keys are there`);
}
