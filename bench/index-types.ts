// CPU time per key of the index types in memory, precomputed hashes, one thread:
//   node --import tsx bench/index-types.ts [keys] [types...]
import { createRegistry } from '../ts/engine/builtins.js';
import type { IndexContext } from '../ts/engine/factories.js';
import type { Index } from '../ts/index/index.js';
import { KeyHasher, type KeyHash } from '../ts/index/key-hash.js';

const KEYS = Number(process.argv[2] ?? 1_000_000);
const TYPES = process.argv.slice(3);
const ROUNDS = 15;
const BATCH = 1000;
/** Keys looked up in a round, independent of each other. */
const PROBES = 500_000;

const hashKey = Uint8Array.from({ length: 16 }, (_, at) => (at * 29 + 3) & 0xff);
const hasher = new KeyHasher(hashKey);
const hash: KeyHash = new Int32Array(4);

/** Lowest of the rounds, in ns of CPU time of the process per key. */
function lowest(rounds: number, keys: number, run: (round: number) => void): number {
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < rounds; round++) {
    const before = process.cpuUsage();
    run(round);
    const { user, system } = process.cpuUsage(before);
    best = Math.min(best, ((user + system) * 1000) / keys);
  }
  return Math.round(best);
}

/** (d, h) of keys from `from` on in a random order. */
function hashesOf(from: number): Int32Array {
  const words = new Int32Array(PROBES * 2);
  let state = 12345;
  for (let at = 0; at < words.length; at += 2) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    hasher.hashU64(from + Math.floor((state / 2 ** 32) * KEYS), 0);
    words.set(hasher.words.subarray(0, 2), at);
  }
  return words;
}

function getAll(index: Index, words: Int32Array): number {
  let sum = 0;
  for (let at = 0; at < words.length; at += 2) {
    hash[0] = words[at]!;
    hash[1] = words[at + 1]!;
    sum += index.get(hash);
  }
  return sum;
}

function putAll(index: Index, words: Int32Array, handle: number): void {
  for (let at = 0; at < words.length; at += 2) {
    hash[0] = words[at]!;
    hash[1] = words[at + 1]!;
    index.put(hash, handle);
  }
}

/** Hashes included, as a store's own puts have them. */
function fill(index: Index): void {
  for (let key = 0; key < KEYS; key++) {
    hasher.hashU64(key, 0);
    index.put(hasher.words, key + 1);
  }
}

function measure(type: string): Record<string, number | string> {
  const make = createRegistry().get('index', type);
  const fresh = (): Index =>
    make({ hashKey, config: { initialCapacity: 1 } } as unknown as IndexContext);
  let index = fresh();
  const put = lowest(3, KEYS, () => {
    index.close();
    index = fresh();
    fill(index);
  });
  const present = hashesOf(0);
  const absent = hashesOf(2 ** 31);
  const hit = lowest(ROUNDS, PROBES, () => void getAll(index, present));
  const miss = lowest(ROUNDS, PROBES, () => void getAll(index, absent));
  const replace = lowest(ROUNDS, PROBES, (round) => putAll(index, present, round + 1));
  const keys = BigUint64Array.from({ length: PROBES }, (_, at) => BigInt((at * 7_368_787) % KEYS));
  const handles = new Float64Array(BATCH);
  const batch = lowest(ROUNDS, PROBES, () => {
    for (let at = 0; at < PROBES; at += BATCH) {
      if (index.batchGet(keys.subarray(at, at + BATCH), handles) !== BATCH) throw new Error(type);
    }
  });
  const bytes = (index.memoryBytes / index.size).toFixed(1);
  index.close();
  return { type, hit, miss, replace, 'put new': put, 'batchGet(1000)': batch, 'B/key': bytes };
}

// One type a process would be fairer to inlining; several in one is how a test run sees them.
const names = TYPES.length > 0 ? TYPES : createRegistry().names('index');
console.table(names.map(measure));
