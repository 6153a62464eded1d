import assert from 'node:assert/strict';
import type { SimDisk } from '../../../ts/bindings/addon.js';
import { FileSet } from '../../../ts/bindings/file-set.js';
import { KeyHasher } from '../../../ts/index/key-hash.js';
import { SsdIndex } from '../../../ts/index/ssd-index.js';
import { allocatedBytes, newSimDisk } from '../../support/sim-disk.js';
import { withDirectory } from '../../support/stores.js';

const OPTIONS = {
  ...{ backend: 'POSIX' as const, queueDepth: 32, flushEvery: 4, busyPollUs: 0, threads: 1 },
  ...{ readOnly: false, create: true, lockTimeoutMs: 0 },
};
const STORE_ID = Uint8Array.from({ length: 16 }, (_, at) => at + 1);
const HASH_KEY = new Uint8Array(16).fill(7);
const hasher = new KeyHasher(HASH_KEY);

function hashOf(key: number): Int32Array {
  hasher.hashU64(key, 0);
  return hasher.words;
}

/** A few keys make many buckets. */
function indexOn(disk: SimDisk, cachePages = 4096): SsdIndex {
  return indexIn(FileSet.simulate(disk), cachePages);
}

function indexIn(fileSet: FileSet, cachePages: number): SsdIndex {
  return new SsdIndex(fileSet, {
    hashKey: HASH_KEY,
    storeId: STORE_ID,
    cachePages,
    entriesMax: 4,
    persistent: true,
    readOnly: false,
    growBytesMax: 1024 * 1024,
  });
}

/** Each key has itself as its handle. */
function put({ pages }: SsdIndex, from: number, to: number): void {
  for (let key = from; key < to; key++) pages.put(hashOf(key), key);
}

async function newIndex(disk: SimDisk, keys: number, cachePages?: number): Promise<SsdIndex> {
  const index = indexOn(disk, cachePages);
  await index.pages.adopted();
  put(index, 1, keys);
  return index;
}

async function adopted(
  disk: SimDisk,
  pieces: readonly Uint8Array[],
  cachePages?: number,
): Promise<SsdIndex> {
  const index = indexOn(disk, cachePages);
  for (const piece of pieces) await index.pages.adopt(piece);
  await index.pages.adopted();
  return index;
}

describe('a checkpoint of an index on the device', () => {
  it('has all that was put before it, however many buckets split while it is written', async () => {
    const disk = newSimDisk({});
    const before = 500;
    const index = await newIndex(disk, before);
    let over = false;
    const written = index.pages.checkpoint().finally(() => (over = true));
    let end = before;
    // A simulated disk answers within a turn.
    for (; !over && end < 10_000; end += 500) {
      put(index, end, end + 500);
      await Promise.resolve();
    }
    const pieces = await written;
    assert.ok(end > before + 500, 'some were put meanwhile');
    const again = await adopted(disk, pieces);
    for (let key = 1; key < end; key++) {
      const found = again.get(hashOf(key));
      assert.ok(found === key || (found === 0 && key >= before), `${key}: ${found}`);
    }
    again.close();
    index.close();
    disk.release();
  });

  it('waits for images of buckets that were split while these were on their way', () =>
    withDirectory(async (path) => {
      // Unlike those of a simulated disk, these writes end one after the other.
      const fileSet = await FileSet.openDirectory(path, OPTIONS);
      const index = indexIn(fileSet, 4096);
      await index.pages.adopted();
      let end = 600;
      put(index, 1, end);
      let before = end;
      let pieces: readonly Uint8Array[] = [];
      // The first ones make room in the file; then all pages are written at once.
      for (let turn = 0; turn < 12; turn++) {
        before = end;
        put(index, 1, before);
        const written = index.pages.checkpoint();
        for (; end < before + 30; end++) {
          await Promise.resolve();
          put(index, end, end + 1);
        }
        pieces = await written;
        index.pages.checkpointInForce();
      }
      const again = indexIn(fileSet, 4096);
      for (const piece of pieces) await again.pages.adopt(piece);
      await again.pages.adopted();
      for (let key = 1; key < end; key++) {
        const found = again.get(hashOf(key));
        assert.ok(found === key || (found === 0 && key >= before), `${key}: ${found}`);
      }
      again.close();
      index.close();
      await fileSet.dispose();
    }));

  it('is refused when there is no space for its pages, and made when there is', async () => {
    const disk = newSimDisk({});
    const index = await newIndex(disk, 1000);
    disk.setCapacity(allocatedBytes(disk));
    await assert.rejects(index.pages.checkpoint(), { code: 'CAIRN_NO_SPACE' });
    disk.setCapacity(0);
    const again = await adopted(disk, await index.pages.checkpoint());
    for (let key = 1; key < 1000; key++) assert.equal(again.get(hashOf(key)), key);
    again.close();
    index.close();
    disk.release();
  });

  it('fails when what it wrote cannot be made durable, and so do all later ones', async () => {
    const disk = newSimDisk({});
    const index = await newIndex(disk, 100);
    const failures: string[] = [];
    index.pages.onFailure(({ code }) => failures.push(code));
    disk.inject({ operation: 'sync', errno: 'EIO' });
    for (let times = 0; times < 2; times++) {
      await assert.rejects(index.pages.checkpoint(), { code: 'CAIRN_IO' });
    }
    assert.deepEqual(failures, ['CAIRN_IO']);
    index.close();
    disk.release();
  });

  it('fails when changes wait for pages that are damaged', async () => {
    const disk = newSimDisk({});
    const first = await newIndex(disk, 1000);
    const pieces = await first.pages.checkpoint();
    first.close();
    const { length } = disk.readFile('index') as Uint8Array;
    for (let page = 4096; page < length; page += 4096) disk.flipBit('index', page + 100, 3);
    const index = await adopted(disk, pieces, 64);
    put(index, 1, 20);
    await assert.rejects(index.pages.checkpoint(), { code: 'CAIRN_CORRUPTION' });
    index.close();
    disk.release();
  });

  it('keeps the pages of the one before while that is copied', async () => {
    const disk = newSimDisk({});
    const index = await newIndex(disk, 1000);
    const old = await index.pages.checkpoint();
    index.pages.checkpointInForce();
    const release = index.pages.holdForCopy();
    const change = async (versions: readonly number[]): Promise<number> => {
      for (const version of versions) {
        for (let key = 1; key < 1000; key++) index.pages.put(hashOf(key), key + version * 1000);
        await index.pages.checkpoint();
        index.pages.checkpointInForce();
      }
      return index.pages.stats().fileBytes;
    };
    await change([1, 2, 3]);
    const copy = await adopted(disk, old);
    for (let key = 1; key < 1000; key++) assert.equal(copy.get(hashOf(key)), key);
    copy.close();
    release();
    // Once more does nothing: the hold of somebody else would end.
    release();
    const fileBytes = await change([4, 5]);
    assert.equal(await change([6, 7, 8, 9]), fileBytes, 'they are used again');
    index.close();
    disk.release();
  });

  it('is not copied when a page of it is damaged', async () => {
    const disk = newSimDisk({});
    const index = await newIndex(disk, 1000);
    const pieces = await index.pages.checkpoint();
    const { length } = disk.readFile('index') as Uint8Array;
    for (let page = 4096; page < length; page += 4096) disk.flipBit('index', page + 100, 3);
    const groupsOf = index.pages.copyEntries();
    const copied = async (): Promise<void> => {
      for await (const _ of groupsOf(pieces[0] as Uint8Array)) continue;
    };
    await assert.rejects(copied(), { code: 'CAIRN_CORRUPTION', file: 'index' });
    index.close();
    disk.release();
  });

  it('of entries has no group without one', async () => {
    const disk = newSimDisk({});
    const index = await newIndex(disk, 1);
    assert.throws(() => index.importChunk(new Uint8Array(16)), { code: 'CAIRN_CORRUPTION' });
    assert.equal(index.size, 0);
    index.close();
    disk.release();
  });

  it('is refused when its table cannot be one', async () => {
    const disk = newSimDisk({});
    const first = await newIndex(disk, 100);
    const [table] = await first.pages.checkpoint();
    first.close();
    const changed = (change: (view: DataView) => void): Uint8Array => {
      const bytes = Uint8Array.from(table as Uint8Array);
      change(new DataView(bytes.buffer));
      return bytes;
    };
    const tables = [
      changed(() => undefined).subarray(0, 24),
      // Page, depth, entries, write number.
      changed((view) => view.setUint32(0, 0, true)),
      changed((view) => view.setUint32(0, 1 << 20, true)),
      changed((view) => view.setUint32(16, view.getUint32(0, true), true)),
      changed((view) => view.setUint16(4, 33, true)),
      changed((view) => view.setUint16(6, 1000, true)),
      changed((view) => view.setBigUint64(8, 0n, true)),
      changed((view) => view.setBigUint64(8, 2n ** 53n - 1n, true)),
      // A bucket that is missing.
      changed(() => undefined).subarray(16),
    ];
    for (const [at, damaged] of tables.entries()) {
      await assert.rejects(
        adopted(disk, [damaged]),
        { code: 'CAIRN_CORRUPTION', file: 'index' },
        `table ${at}`,
      );
    }
    const again = await adopted(disk, [changed(() => undefined)]);
    assert.equal(again.size, 99);
    again.close();
    disk.release();
  });
});
