import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { SimDisk } from '../../../ts/bindings/addon.js';
import { isCairnError, type CairnError } from '../../../ts/common/errors.js';
import type { ResolvedConfig, StoreConfig } from '../../../ts/config/types.js';
import { DamageList, entriesOf } from '../../../ts/engine/repair.js';
import type { Store } from '../../../ts/index.js';
import { flipped, readPool, writePool } from '../../support/pool-file.js';
import {
  abandon,
  makeSmallStore,
  openSmall,
  smallConfig,
  usingSmallDamaged,
} from '../../support/robustness/small-stores.js';
import { newSimDisk } from '../../support/sim-disk.js';
import { bytesOf, withSharedMemory } from '../../support/stores.js';

const SSD_INDEX = { index: { type: 'SSD_EXTENDIBLE_HASH' } };
const memoryConfig = (more: StoreConfig = {}): ResolvedConfig =>
  smallConfig('DRAM_VALUE_STORE', more);

async function holds(store: Store, contents: ReadonlyMap<string, Buffer>): Promise<void> {
  assert.equal(store.size, contents.size);
  for (const [key, value] of contents) assert.ok((await store.get(key))?.equals(value), key);
}

/** One chunk of the checkpoint of a store in memory is damaged. */
async function salvagesRecords(config: ResolvedConfig): Promise<void> {
  const disk = newSimDisk({});
  const first = await openSmall(disk, config);
  const contents = new Map<string, Buffer>();
  for (let n = 0; n < 60; n++) contents.set(`key ${n}`, bytesOf(n, 100_000));
  for (const [key, value] of contents) await first.put(key, value, { durability: 'none' });
  await first.close();
  const name = disk.fileNames().find((each) => each.startsWith('checkpoint-')) as string;
  const chunks = chunksOf(Buffer.from(disk.readFile(name) as Uint8Array));
  assert.ok(chunks.length >= 4, `${chunks.length} chunks`);
  const damaged = chunks[chunks.length >> 1] as number;
  disk.flipBit(name, damaged + 5000, 1);
  const damage = new DamageList();
  const found = new Map<string, Buffer>();
  await usingSmallDamaged(disk, config, damage.add, async (parts) => {
    for await (const [key, value] of entriesOf(parts, damage)) found.set(String(key), value);
  });
  assert.deepEqual(damage.listed.map(({ file, offset }) => [file, offset])[0], [name, damaged]);
  assert.ok(found.size > 0 && found.size < 50, `${found.size} records`);
  for (const [key, value] of found) assert.ok(contents.get(key)?.equals(value), key);
}

describe('recovery', () => {
  it('gives back the memory of what the log replaces or deletes, also below an index on the device', async () => {
    for (const more of [{}, SSD_INDEX]) {
      const disk = newSimDisk({ record: true });
      const config = memoryConfig(more);
      const first = await openSmall(disk, config);
      const contents = new Map<string, Buffer>();
      // Pages for more keys than are in memory: what is replaced is known when its page was read.
      for (let n = 0; n < 600; n++) {
        contents.set(`key ${n % 300}`, bytesOf(n, 50 + (n % 20)));
        await first.put(`key ${n % 300}`, bytesOf(n, 50 + (n % 20)));
      }
      for (const key of ['key 3', 'key 4']) {
        contents.delete(key);
        await first.delete(key);
      }
      await abandon(disk, first);
      const store = await openSmall(disk.crash(disk.eventCount, { kind: 'all' }), config);
      await holds(store, contents);
      assert.equal(store.stats().values.liveSlots, contents.size);
      await store.close();
    }
  });

  it('takes what a pool lost from the checkpoint when the index is on the device', function () {
    return withSharedMemory(this, async (shared) => {
      const config = memoryConfig({
        ...SSD_INDEX,
        value: { path: shared, dram_allocator: { type: 'PERSIST_MEMORY_POOL' } },
      });
      const disk = newSimDisk({ record: true });
      const first = await openSmall(disk, config);
      const contents = new Map<string, Buffer>();
      for (let n = 0; n < 300; n++) contents.set(`key ${n}`, bytesOf(n, 20 + (n % 40)));
      for (const [key, value] of contents) await first.put(key, value);
      await first.close();
      const [name] = readdirSync(shared).filter((each) => each.endsWith('.pool'));
      const path = join(shared, name as string);
      const pool = readPool(path);
      const [at, page] = [...pool.pages].find(([, bytes]) => bytes.includes('key 77'))!;
      writePool(path, flipped(pool, at + page.indexOf('key 77')));
      const store = await openSmall(disk.crash(disk.eventCount, { kind: 'all' }), config);
      await holds(store, contents);
      const { adopted, dropped } = store.stats().values.pool!;
      assert.deepEqual([adopted, dropped], [299, 1]);
      await store.close();
    });
  });

  it('saves the records before a damaged chunk of a checkpoint, and none that it guessed', async () => {
    await salvagesRecords(memoryConfig());
  });

  it('saves those of a pool without the pool, and what names its places is not for others', function () {
    return withSharedMemory(this, (path) =>
      salvagesRecords(
        memoryConfig({ value: { path, dram_allocator: { type: 'PERSIST_LOOP_SLAB' } } }),
      ),
    );
  });

  it('is refused when the log changes pages of the index that are damaged', async () => {
    const disk = newSimDisk({ record: true });
    const config = smallConfig('SSD_VALUE_STORE', SSD_INDEX);
    const first = await openSmall(disk, config);
    const putAll = async (): Promise<void> => {
      for (let n = 0; n < 400; n++) await first.put(`key ${n}`, 'value', { durability: 'none' });
    };
    await putAll();
    await first.checkpoint();
    await putAll();
    await first.flush();
    await abandon(disk, first);
    const left = disk.crash(disk.eventCount, { kind: 'all' });
    const { length } = left.readFile('index') as Uint8Array;
    for (let page = 4096; page < length; page += 4096) left.flipBit('index', page + 100, 3);
    await assert.rejects(openSmall(left, config), { code: 'CAIRN_CORRUPTION', file: 'index' });
  });

  it('takes over what a crash left of checkpoints that are not in force', async () => {
    const small = await makeSmallStore('SSD_VALUE_STORE', true);
    for (const left of [
      ['checkpoint-fe'],
      ['RESERVE', 'checkpoint-fe'],
      ['checkpoint-fe', 'checkpoint-ff'],
    ]) {
      const disk = small.copy();
      if (disk.fileNames().includes('RESERVE')) disk.removeFile('RESERVE');
      for (const name of left) disk.writeFile(name, Buffer.alloc(8192, 1));
      const store = await openSmall(disk, small.config);
      const names = disk.fileNames().filter((name) => /^(RESERVE$|checkpoint)/.test(name));
      assert.equal(names.length, 2, String(names));
      assert.ok(names.includes('RESERVE'));
      await store.checkpoint();
      await store.close();
    }
  });
});

describe('a directory without a manifest', () => {
  const refused = (
    disk: SimDisk,
    config: ResolvedConfig,
    check: (error: CairnError) => boolean,
  ): Promise<void> =>
    assert.rejects(openSmall(disk, config), (error) => isCairnError(error) && check(error));

  it('is refused when it has other files of a store', async () => {
    for (const left of ['values', 'log-0003', 'checkpoint-1']) {
      const disk = newSimDisk({});
      disk.writeFile(left, Buffer.alloc(4096));
      await refused(disk, smallConfig('SSD_VALUE_STORE'), ({ code, message }) => {
        assert.equal(code, 'CAIRN_CORRUPTION');
        return message.includes(left);
      });
      assert.ok(!disk.fileNames().includes('MANIFEST'));
    }
    const disk = newSimDisk({});
    disk.writeFile('notes', Buffer.alloc(10));
    await (await openSmall(disk, smallConfig('SSD_VALUE_STORE'))).close();
  });

  it('is no store for whoever makes none', async () => {
    const config = smallConfig('SSD_VALUE_STORE');
    for (const how of [{ createIfMissing: false }, { readOnly: true }]) {
      const disk = newSimDisk({});
      await refused(disk, { ...config, ...how }, ({ code }) => code === 'CAIRN_NOT_FOUND');
      assert.deepEqual(disk.fileNames(), []);
    }
  });
});

/** Offsets of the chunks of a checkpoint. */
function chunksOf(bytes: Buffer): number[] {
  const chunks: number[] = [];
  for (let at = 4096; at < bytes.length; at += 4096) {
    if (bytes.readUInt32LE(at) === 0x4b4e4843) chunks.push(at);
  }
  return chunks;
}
