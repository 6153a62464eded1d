import assert from 'node:assert/strict';
import { cpSync, existsSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { SimDisk } from '../../../ts/bindings/addon.js';
import { BUILTIN_NAMES } from '../../../ts/config/names.js';
import type { ResolvedConfig } from '../../../ts/config/types.js';
import { isCairnError } from '../../../ts/common/errors.js';
import { open, type Store } from '../../../ts/index.js';
import { flipped, readPool, writePool, type PoolSnapshot } from '../../support/pool-file.js';
import { Resealer } from '../../support/robustness/reseal.js';
import {
  abandon,
  openSmall,
  smallConfig,
  type Contents,
} from '../../support/robustness/small-stores.js';
import { newSimDisk } from '../../support/sim-disk.js';
import { bytesOf, withDirectory, withSharedMemory } from '../../support/stores.js';

const MIB = 2 ** 20;
const HEADER_BYTES = 96;
const PAGE_BYTES = 4096;
const INDEXES = BUILTIN_NAMES.index.filter((name) => name.startsWith('DRAM_'));
const ALLOCATORS = ['PERSIST_LOOP_SLAB', 'PERSIST_MEMORY_POOL'] as const;

function configOf(shared: string, type: string, index: string = 'DRAM_PET_HASH'): ResolvedConfig {
  return smallConfig('DRAM_VALUE_STORE', {
    index: { type: index },
    value: { path: shared, dram_allocator: { type } },
  });
}

function poolIn(shared: string): string {
  const [name] = readdirSync(shared).filter((file) => file.endsWith('.pool'));
  return join(shared, name as string);
}

async function contentsOf(store: Store): Promise<Map<string, Buffer>> {
  const contents = new Map<string, Buffer>();
  for await (const [key, value] of store.entries()) contents.set(String(key), value);
  assert.equal(store.size, contents.size);
  for (const [key, value] of contents) assert.ok(store.getSync(key)?.equals(value));
  return contents;
}

function same(left: Contents, right: Contents): boolean {
  if (left.size !== right.size) return false;
  for (const [key, value] of left) if (right.get(key)?.equals(value) !== true) return false;
  return true;
}

/** What a store that is opened on the image holds, and what it says of its pool. */
async function reopened(
  disk: SimDisk,
  config: ResolvedConfig,
): Promise<{ contents: Contents; adopted: number; dropped: number }> {
  const store = await openSmall(disk, config);
  try {
    const contents = await contentsOf(store);
    assert.equal((await store.verify()).damagedCount, 0);
    const { adopted = -1, dropped = -1 } = store.stats().values.pool ?? {};
    return { contents, adopted, dropped };
  } finally {
    await abandon(disk, store);
  }
}

/** A store of few records that was closed, and its pool. */
async function closedStore(
  config: ResolvedConfig,
  shared: string,
): Promise<{ image: () => SimDisk; contents: Contents; pool: PoolSnapshot; path: string }> {
  const disk = newSimDisk({ record: true });
  const store = await openSmall(disk, config);
  const contents = new Map<string, Buffer>();
  for (let i = 0; i < 6; i++) contents.set(`key ${i}`, bytesOf(i, 20 + i * 5));
  for (const [key, value] of contents) await store.put(key, value);
  await store.close();
  const path = poolIn(shared);
  const image = (): SimDisk => disk.crash(disk.eventCount, { kind: 'all' });
  return { image, contents, pool: readPool(path), path };
}

for (const type of ALLOCATORS) {
  describe(`the pool file of ${type}`, function () {
    this.timeout(120_000);

    for (const index of INDEXES) {
      it(`has every record again after a close: ${index}`, function () {
        return withSharedMemory(this, async (shared) => {
          const config = configOf(shared, type, index);
          const { image, contents } = await closedStore(config, shared);
          const found = await reopened(image(), config);
          assert.ok(same(found.contents, contents));
          assert.deepEqual([found.adopted, found.dropped], [contents.size, 0]);
        });
      });
    }

    it('never gives a wrong byte when any of its bytes is damaged', function () {
      return withSharedMemory(this, async (shared) => {
        const config = configOf(shared, type);
        const { image, contents, pool, path } = await closedStore(config, shared);
        let dropped = 0;
        const flip = async (offset: number): Promise<void> => {
          writePool(path, flipped(pool, offset));
          const found = await reopened(image(), config);
          assert.ok(same(found.contents, contents), `byte ${offset}`);
          if (offset < PAGE_BYTES) {
            // Of the two stamps one is enough, and either may be the one that is damaged.
            const adopts = offset >= HEADER_BYTES - 32 && offset < HEADER_BYTES;
            assert.equal(found.adopted, adopts ? contents.size : 0, `byte ${offset}`);
          } else {
            assert.equal(found.adopted + found.dropped, contents.size, `byte ${offset}`);
            dropped += found.dropped;
          }
        };
        for (let at = 0; at < HEADER_BYTES; at++) await flip(at);
        for (let at = HEADER_BYTES; at < PAGE_BYTES; at += 61) await flip(at);
        for (const [at, page] of pool.pages) {
          if (at === 0) continue;
          let end = page.length;
          while (page[end - 1] === 0) end--;
          for (let byte = 0; byte < end; byte++) await flip(at + byte);
        }
        // Header, key and value of each record; slots have unused bytes beside.
        const recordBytes = [...contents].reduce(
          (sum, [k, v]) => sum + 24 + k.length + v.length,
          0,
        );
        assert.equal(dropped, recordBytes);
      });
    });

    it('is not believed when it is cut off, missing, older or of another store', function () {
      return withSharedMemory(this, async (shared) => {
        const config = configOf(shared, type);
        const { image, contents, pool, path } = await closedStore(config, shared);
        const refused = async (what: string): Promise<void> => {
          const found = await reopened(image(), config);
          assert.ok(same(found.contents, contents), what);
          assert.deepEqual([found.adopted, found.dropped], [0, 0], what);
        };
        rmSync(path);
        await refused('missing');
        for (const size of [0, 1, PAGE_BYTES, 2 * MIB, 64 * MIB - PAGE_BYTES, 128 * MIB + 1]) {
          writePool(path, { size, pages: new Map([...pool.pages].filter(([at]) => at < size)) });
          await refused(`${size} bytes`);
        }
        // As long as it should be, but for the records.
        writePool(path, { size: pool.size, pages: new Map([[0, pool.pages.get(0) as Buffer]]) });
        const empty = await reopened(image(), config);
        assert.ok(same(empty.contents, contents));
        assert.deepEqual([empty.adopted, empty.dropped], [0, contents.size]);

        const other = join(shared, 'other');
        const stranger = await closedStore(configOf(other, type), other);
        writePool(path, stranger.pool);
        await refused('another store');

        // Two checkpoints later, the first pool file put back.
        writePool(path, pool);
        const disk = image();
        const store = await openSmall(disk, config);
        const now = new Map(contents);
        for (let round = 0; round < 2; round++) {
          for (const key of contents.keys()) {
            now.set(key, bytesOf(key.length + round + 50, 30));
            await store.put(key, now.get(key) as Buffer);
          }
          await store.checkpoint();
        }
        await abandon(disk, store);
        writePool(path, pool);
        const old = await reopened(disk.crash(disk.eventCount, { kind: 'all' }), config);
        assert.ok(same(old.contents, now));
        assert.equal(old.adopted, 0);
      });
    });

    it('is refused when what it lost is not in the checkpoint, or its slots cannot be', function () {
      return withSharedMemory(this, async (shared) => {
        const config = configOf(shared, type);
        const { image, pool, path } = await closedStore(config, shared);
        const refused = async (edit: (checkpoint: Buffer) => void): Promise<void> => {
          const disk = image();
          const name = disk.fileNames().find((each) => each.startsWith('checkpoint-')) as string;
          const checkpoint = Buffer.from(disk.readFile(name) as Uint8Array);
          edit(checkpoint);
          disk.writeFile(name, checkpoint);
          new Resealer(disk).files([name], []);
          await assert.rejects(openSmall(disk, config), (error) => {
            assert.ok(isCairnError(error, 'CAIRN_CORRUPTION'), String(error));
            assert.equal(error.file, path);
            return true;
          });
        };
        const [at, page] = [...pool.pages].find(([, bytes]) => bytes.includes('key 3')) ?? [0];
        writePool(path, flipped(pool, at + (page?.indexOf('key 3') ?? 0)));
        await refused((checkpoint) => void checkpoint.write('kez 3', checkpoint.indexOf('key 3')));
        writePool(path, pool);
        // Two entries with one handle; docs/FORMAT.md "Index entries".
        await refused((checkpoint) => {
          const [first, second] = entriesIn(checkpoint);
          for (const field of [8, 14])
            checkpoint.copy(
              checkpoint,
              second + field,
              first + field,
              first + field + (16 - field) / 2,
            );
        });
      });
    });

    it('leaves a prefix of the writes after a kill or a power cut anywhere', function () {
      return withSharedMemory(this, (shared) => cutAnywhere(shared, type));
    });

    it('says who has it open, and lets go when it is closed', function () {
      return withSharedMemory(this, (shared) =>
        withDirectory(async (directory) => {
          const path = join(directory, 'store');
          const value = { type: 'DRAM_VALUE_STORE', path: shared, dram_allocator: { type } };
          await (await open(path, { value })).close();
          cpSync(path, join(directory, 'copy'), { recursive: true });
          const store = await open(path);
          await store.put('key', 'of the store');
          const locked = (error: unknown): boolean => isCairnError(error, 'CAIRN_LOCKED');
          await assert.rejects(open(join(directory, 'copy')), locked);
          await store.close();
          const copy = await open(join(directory, 'copy'));
          assert.equal(await copy.get('key'), undefined);
          await copy.close();
          // Values in the memory of the process: the document says so.
          const without = await open(path, { value: { path: '' } });
          assert.equal(String(await without.get('key')), 'of the store');
          assert.equal(without.stats().values.pool, undefined);
          await without.close();
          const reader = await open(path, { read_only: true });
          assert.equal(String(await reader.get('key')), 'of the store');
          await reader.close();
        }),
      );
    });

    it('gives memory back after deletes, and obeys its capacity', function () {
      return withSharedMemory(this, (shared) =>
        withDirectory(async (directory) => {
          const value = {
            type: 'DRAM_VALUE_STORE',
            path: shared,
            dram_allocator: { type, capacity_bytes: 48 * MIB },
          };
          const store = await open(join(directory, 'store'), { value, durability: 'process' });
          const pool = poolIn(shared);
          const backed = (): number => statSync(pool).blocks * 512;
          const sizes = [100_000, 2000, 5_000_000, 7000];
          for (const [round, size] of sizes.entries()) {
            let count = 0;
            await assert.rejects(
              async () => {
                for (; ; count++) await store.put(`${round} ${count}`, Buffer.alloc(size, count));
              },
              (error) => isCairnError(error, 'CAIRN_NO_SPACE'),
            );
            assert.ok(count * size > 32 * MIB, `only ${count} of ${size} bytes fit`);
            assert.ok(store.stats().values.allocatedBytes <= 48 * MIB);
            assert.ok((await store.get(`${round} 7`))?.equals(Buffer.alloc(size, 7)));
            for (let i = 0; i < count; i++) await store.delete(`${round} ${i}`);
            await store.checkpoint();
            assert.equal(store.stats().values.liveSlots, 0);
            assert.ok(backed() < 20 * MIB, `${backed()} bytes are held by nothing`);
          }
          await store.close();
          assert.ok(existsSync(pool));
        }),
      );
    });
  });
}

/** Offsets of the first two index entries of a checkpoint, in one group or in two. */
function entriesIn(checkpoint: Buffer): [number, number] {
  const group = [...pagesOf(checkpoint)].find(
    (at) => checkpoint.readUInt16LE(at + 32) === 1,
  ) as number;
  const count = checkpoint.readUInt32LE(group + 48 + 8);
  const first = group + 48 + 16;
  return [first, count > 1 ? first + 16 : first + 32];
}

function* pagesOf(checkpoint: Buffer): Generator<number, void, void> {
  for (let at = PAGE_BYTES; at < checkpoint.length; at += PAGE_BYTES) yield at;
}

interface Point {
  readonly events: number;
  readonly pool: PoolSnapshot;
  /** What the store may hold: with a write under way, before or after it. */
  readonly allowed: readonly Contents[];
}

async function cutAnywhere(shared: string, type: string): Promise<void> {
  const config = configOf(shared, type);
  let stale: PoolSnapshot | undefined;
  let adopted = 0;
  for (let seed = 1; seed <= 4; seed++) {
    rmSync(shared, { recursive: true });
    const disk = newSimDisk({ record: true });
    const store = await openSmall(disk, config);
    const path = poolIn(shared);
    const points = await workload(store, disk, path, seed);
    await abandon(disk, store);
    for (const { events, pool, allowed } of points) {
      const check = async (image: SimDisk, what: string): Promise<number> => {
        const found = await reopened(image, config);
        const good = allowed.some((contents) => same(found.contents, contents));
        assert.ok(good, `seed ${seed}, event ${events}: ${what}`);
        return found.adopted;
      };
      writePool(path, pool);
      const kill = { kind: 'kill', seed: seed + events, sectorBytes: 512 } as const;
      const killed = disk.crash(events, kill);
      adopted += await check(killed, 'killed');
      // The first recovery has written into the pool, and is cut off before a checkpoint.
      adopted += await check(killed.crash(killed.eventCount, kill), 'killed twice');
      rmSync(path);
      await check(disk.crash(events, { kind: 'none' }), 'a power cut');
      await check(disk.crash(events, { ...kill, kind: 'random' }), 'another power cut');
      if (stale !== undefined) writePool(path, stale);
      await check(disk.crash(events, { kind: 'all' }), 'the pool is stale');
      stale = pool;
    }
    disk.release();
  }
  assert.ok(adopted > 500, `only ${adopted} records were found again`);
}

/** Steps of every kind; the pool as a kill would leave it, between them and in their midst. */
async function workload(store: Store, disk: SimDisk, path: string, seed: number): Promise<Point[]> {
  const points: Point[] = [];
  let contents: Contents = new Map();
  let state = seed;
  const random = (limit: number): number => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return (state >>> 8) % limit;
  };
  const value = (): Buffer => bytesOf(random(1000), [0, 60, 300, 700, 9000][random(5)] as number);
  const note = (...allowed: Contents[]): void => {
    points.push({ events: disk.eventCount, pool: readPool(path), allowed });
  };
  for (let step = 0; step < 45; step++) {
    const after = new Map(contents);
    const keys = Array.from({ length: 1 + random(4) }, () => `key ${random(20)}`);
    let done: Promise<unknown>;
    switch (random(8)) {
      case 0:
        done = store.checkpoint();
        break;
      case 1:
        after.delete(keys[0] as string);
        done = store.delete(keys[0] as string);
        break;
      case 2:
        for (const key of keys) after.set(key, value());
        done = store.batchPut(
          [...new Set(keys)],
          [...new Set(keys)].map((key) => after.get(key) as Buffer),
        );
        break;
      default:
        after.set(keys[0] as string, value());
        done = store.put(keys[0] as string, after.get(keys[0] as string) as Buffer);
    }
    if (step % 3 === 0) note(contents, after);
    await done;
    contents = after;
    if (step % 3 === 1) note(contents);
  }
  note(contents);
  return points;
}
