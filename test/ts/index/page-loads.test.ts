import assert from 'node:assert/strict';
import { getHeapStatistics } from 'node:v8';
import { FileSet } from '../../../ts/bindings/file-set.js';
import { loadPage } from '../../../ts/engine/page-room.js';
import { INDEX_CURSOR_END, UNREAD } from '../../../ts/index/index.js';
import { KeyHasher } from '../../../ts/index/key-hash.js';
import { LoadQueue, Loads } from '../../../ts/index/load-queue.js';
import { SsdIndex } from '../../../ts/index/ssd-index.js';
import { SeededRandom } from '../../support/crash/random.js';
import { allocatedBytes, newSimDisk } from '../../support/sim-disk.js';
import { withDirectory } from '../../support/stores.js';

const HASH_KEY = new Uint8Array(16).fill(7);
const CACHE_PAGES = 8;
const KEYS = 400;
const OPTIONS = {
  ...{ hashKey: HASH_KEY, storeId: HASH_KEY, persistent: true, readOnly: false },
  growBytesMax: 1024 * 1024,
};
const hasher = new KeyHasher(HASH_KEY);

function hashOf(key: number): Int32Array {
  hasher.hashU64(key, 0);
  return hasher.words;
}

function dOf(key: number): number {
  return hashOf(key)[0]!;
}

/** Each key has itself as its handle; far more buckets than the cache has pages. */
async function newIndex(fileSet = FileSet.memory()): Promise<SsdIndex> {
  const index = new SsdIndex(fileSet, {
    ...OPTIONS,
    cachePages: CACHE_PAGES,
    entriesMax: 4,
  });
  await index.pages.adopted();
  for (let key = 1; key < KEYS; key++) index.put(hashOf(key), key);
  await index.pages.checkpoint();
  index.pages.checkpointInForce();
  return index;
}

/** The first key of each bucket. */
function keysOfBuckets({ pages }: SsdIndex): number[] {
  const keyAt = new Map<number, number>();
  const starts: number[] = [];
  for (let at = 0; at < INDEX_CURSOR_END; at = pages.cursorBehind(at)) starts.push(at);
  for (let key = 1; key < KEYS; key++) {
    const d = dOf(key) >>> 0;
    const start = starts.findLast((begin) => begin <= d)!;
    if (!keyAt.has(start)) keyAt.set(start, key);
  }
  return [...keyAt.values()];
}

/** Keeps so many pages that there is place for one. @returns a key of each page that is not there. */
async function fill(index: SsdIndex): Promise<{ far: number[]; unpin: () => void }> {
  const keys = keysOfBuckets(index);
  const kept = keys.slice(0, CACHE_PAGES - 1);
  const unpin = await index.pages.pin(Int32Array.from(kept, dOf));
  const far = keys.slice(CACHE_PAGES - 1).filter((key) => index.pages.get(hashOf(key)) === UNREAD);
  assert.ok(far.length > 30, `${far.length} buckets are not in memory`);
  return { far, unpin };
}

describe('pages that come in while nearly all others are kept', () => {
  let index: SsdIndex;
  let far: number[];
  let unpin: () => void;
  beforeEach(async () => {
    index = await newIndex();
    ({ far, unpin } = await fill(index));
  });
  afterEach(() => index.close());

  it('stay until whoever blocked for one has looked, whatever waits behind it', () => {
    const [wanted, ...others] = far as [number, ...number[]];
    const [first, ...behind] = others.map(dOf).slice(0, 10) as [number, ...number[]];
    index.pages.load(first, () => {
      for (const d of behind) index.pages.load(d, () => undefined);
    });
    index.pages.loadSync(dOf(wanted));
    assert.equal(index.pages.get(hashOf(wanted)), wanted);
    unpin();
  });

  it('stay for the turn of whoever awaits one', async () => {
    const found = await Promise.all(
      far.slice(0, 20).map(async (key) => {
        await loadPage(index.pages, dOf(key));
        return index.pages.get(hashOf(key)) === key;
      }),
    );
    assert.ok(found.every(Boolean), `${found.filter((is) => !is).length} of 20 were gone`);
    unpin();
  });

  it('do not go for, and are not read for, what was asked for twice and came once', async () => {
    const asked = far.slice(0, 20);
    const before = index.pages.stats().deviceReads;
    for (const key of asked) index.pages.put(hashOf(key), 1000 + key);
    // These come before it is their turn, and others after that.
    await Promise.all(asked.slice(4, 12).map((key) => loadPage(index.pages, dOf(key))));
    await index.pages.settle();
    assert.equal(index.pages.stats().deviceReads - before, asked.length);
    unpin();
  });

  it('do not keep changes from being admitted, however many they are', async () => {
    unpin();
    // Nobody hears of them before this turn ends.
    const kept = Array.from({ length: 10 }, (_, at) =>
      index.pages.pin(Int32Array.from(far.slice(8 * at, 8 * at + 8), dOf)),
    );
    for (const key of far.slice(0, 80)) index.pages.loadSync(dOf(key));
    assert.ok(index.pages.stats().cachedPages > CACHE_PAGES + 64);
    for (const urgent of [false, true]) index.pages.admitSync(1, urgent);
    for (const done of await Promise.all(kept)) done();
  });
});

describe('a device that is asked for more pages than it can read, without end', () => {
  it('reads those that changes wait for as well', () =>
    withDirectory(async (path) => {
      // One of memory answers all that is asked for before anybody can ask again.
      const fileSet = await FileSet.openDirectory(path, {
        ...{ backend: 'POSIX', queueDepth: 32, flushEvery: 4, busyPollUs: 0, threads: 2 },
        ...{ readOnly: false, create: true, lockTimeoutMs: 0 },
      });
      const index = await newIndex(fileSet);
      const { pages } = index;
      const keys = keysOfBuckets(index);
      const random = new SeededRandom(1);
      const before = pages.stats().deviceReads;
      let over = false;
      const readers = Array.from({ length: 40 }, async () => {
        while (!over) {
          const d = dOf(keys[random.below(60)]!);
          await new Promise<void>((resolve) => pages.load(d, () => resolve()));
          over ||= pages.stats().deviceReads - before > 5000;
        }
      });
      for (const key of keys.slice(60, 80)) pages.put(hashOf(key), 1000 + key);
      await pages.settle();
      assert.equal(over, false);
      over = true;
      await Promise.all(readers);
      index.close();
      await fileSet.dispose();
    }));
});

describe('a device that is full while changes wait for their pages', () => {
  it('has the space for what these split, so that deletes and checkpoints go on', async () => {
    const disk = newSimDisk({});
    const index = new SsdIndex(FileSet.simulate(disk), {
      ...OPTIONS,
      cachePages: 256,
      entriesMax: 16,
    });
    const { pages } = index;
    await pages.adopted();
    let key = 1;
    for (; key < 60_000; key++) {
      while (!pages.admits(1, false)) await pages.whenAdmitted(1, false);
      pages.put(hashOf(key), key);
    }
    await pages.checkpoint();
    pages.checkpointInForce();
    await pages.whenAdmitted(2000, false);
    disk.setCapacity(allocatedBytes(disk));
    const first = key;
    for (let refused = false; !refused;) {
      for (let n = 0; n < 5000 && pages.admits(1, false); n++) pages.put(hashOf(key), key++);
      await new Promise((resolve) => setImmediate(resolve));
      if (pages.admits(1, false)) continue;
      await pages.checkpoint();
      pages.checkpointInForce();
      refused = !pages.admits(1, false);
    }
    assert.ok(key - first > 10_000, `${key - first} were taken`);
    await pages.whenAdmitted(1, true);
    for (let deleted = 1; deleted < 500; deleted++) {
      while (!pages.admits(1, true)) {
        await pages.checkpoint();
        pages.checkpointInForce();
      }
      pages.put(hashOf(deleted), 0);
    }
    await pages.checkpoint();
    pages.checkpointInForce();
    assert.equal(index.size, key - 500);
    index.close();
    disk.release();
  });
});

describe('LoadQueue', () => {
  it('gives what was pushed, in order', () => {
    const queue = new LoadQueue();
    let next = 0;
    for (let pushed = 0; pushed < 10_000; pushed++) {
      queue.push(pushed, -pushed);
      if (pushed % 3 === 0) continue;
      assert.deepEqual([queue.bucket, queue.d], [next, -next]);
      queue.shift();
      next++;
    }
    assert.equal(queue.length, 10_000 - next);
  });

  it('does not grow while it is never empty', () => {
    const queue = new LoadQueue();
    for (let at = 0; at < 10; at++) queue.push(at, at);
    const before = getHeapStatistics().used_heap_size;
    for (let at = 0; at < 4_000_000; at++) {
      queue.push(at, at);
      queue.shift();
    }
    const grown = getHeapStatistics().used_heap_size - before;
    assert.ok(grown < 24 * 1024 * 1024, `${grown} bytes`);
    assert.equal(queue.length, 10);
  });
});

describe('Loads', () => {
  const order = (loads: Loads, count: number): number[] =>
    Array.from({ length: count }, () => {
      const queue = loads.next()!;
      const { bucket } = queue;
      loads.begin(queue)();
      return bucket;
    });

  it('has every fourth read for changes and walks while others wait, whatever came first', () => {
    const loads = new Loads(1, () => true);
    for (let bucket = 100; bucket < 110; bucket++) loads.push(bucket, 0, true);
    for (let bucket = 0; bucket < 10; bucket++) loads.push(bucket, 0, false);
    assert.deepEqual(order(loads, 8), [0, 1, 2, 100, 3, 4, 5, 101]);
    assert.deepEqual(order(loads, 8), [6, 7, 8, 102, 9, 103, 104, 105]);
  });

  it('has half of the reads at once for them', () => {
    const loads = new Loads(8, () => true);
    for (let bucket = 0; bucket < 10; bucket++) loads.push(bucket, 0, true);
    const ends = Array.from({ length: 4 }, () => loads.begin(loads.next()!));
    assert.equal(loads.next(), undefined);
    loads.push(100, 0, false);
    assert.equal(loads.next()?.bucket, 100);
    for (const end of ends) end();
    assert.equal(loads.reads, 0);
    assert.equal(loads.next()?.bucket, 100);
  });
});
