import assert from 'node:assert/strict';
import type { SimDisk } from '../../../ts/bindings/addon.js';
import { isCairnError } from '../../../ts/common/errors.js';
import type { Store } from '../../../ts/engine/api.js';
import { SeededRandom } from '../../support/crash/random.js';
import { offsetsOf } from '../../support/robustness/damage-cases.js';
import { Resealer } from '../../support/robustness/reseal.js';
import {
  abandon,
  makeSmallStore,
  openSmall,
  type SmallStore,
} from '../../support/robustness/small-stores.js';
import { countInSuite } from '../../support/robustness/suite-count.js';
import { Watchdog } from '../../support/robustness/watchdog.js';

const LONG = process.env['CAIRN_TEST_LONG'] === '1';
const SEEDS = LONG ? 5000 : 40;
const KINDS = [
  ['SSD_VALUE_STORE', 'SSD_SLAB', 'DRAM_PET_HASH'],
  ['SSD_VALUE_STORE', 'SSD_BUDDY', 'DRAM_EXTENDIBLE_HASH'],
  ['SSD_VALUE_STORE', 'SSD_SLAB', 'SSD_EXTENDIBLE_HASH'],
  ['DRAM_VALUE_STORE', 'SSD_SLAB', 'DRAM_UNORDERED_MAP'],
  ['TIERED_VALUE_STORE', 'SSD_BUDDY', 'DRAM_PET_HASH'],
] as const;
/** Where limits are, and what is beyond them. */
const NUMBERS = [0, 1, 2, 7, 8, 255, 4096, 65536, 65537, 0x7fffffff, 0x80000000, 0xffffffff];

// Fault model F12: hostile files. Every checksum is right, so that nothing is refused for that.
describe('a store of someone who knows the format', function () {
  this.timeout(LONG ? 3_600_000 : 120_000);
  let watchdog: Watchdog;
  before(() => {
    watchdog = new Watchdog();
  });
  after(() => watchdog.stop());
  const count = countInSuite('hostile files');

  for (const [type, allocator, index] of KINDS) {
    for (const closed of [true, false]) {
      const name = `${index}, ${type} with ${allocator}, ${closed ? 'closed' : 'with a log'}`;
      it(`opens or is refused with a code, and never ends the process: ${name}`, async () => {
        const small = await makeSmallStore(type, closed, { allocator, index });
        const offsets = new Map(
          small.fileNames().map((file) => [file, offsetsOf(small.bytesOf(file), 61)]),
        );
        const values = small.fileNames().includes('values') ? small.bytesOf('values') : undefined;
        const original = small.copy();
        const records = values === undefined ? [] : new Resealer(original).recordsIn(values);
        original.release();
        let opened = 0;
        for (let seed = 1; seed <= SEEDS; seed++) {
          const disk = small.copy();
          const changes = change(disk, offsets, new SeededRandom(seed));
          const what = changes.map(([file, place]) => `${file} ${place}`).join(', ');
          watchdog.step(`${name}, seed ${seed}: ${what}`);
          new Resealer(disk).files(new Set(changes.map(([file]) => file)), records);
          try {
            if (await use(disk, small)) opened++;
          } catch (error) {
            throw new Error(`seed ${seed}: ${what}: ${String(error)}`, { cause: error });
          } finally {
            disk.release();
          }
          if (seed % 32 === 0) await new Promise((resolve) => setImmediate(resolve));
        }
        count({ seeds: SEEDS, opened });
        assert.ok(opened > 0 && opened < SEEDS, `${opened} of ${SEEDS} opened`);
      });
    }
  }
});

/** Bytes in one to three places, numbers where the format has them. @returns files and where. */
function change(
  disk: SimDisk,
  offsets: ReadonlyMap<string, readonly number[]>,
  random: SeededRandom,
): (readonly [string, string])[] {
  const names = [...offsets].filter(([, places]) => places.length > 0).map(([file]) => file);
  const places: (readonly [string, string])[] = [];
  for (let left = 1 + random.below(3); left > 0; left--) {
    const file = random.pick(names);
    const used = offsets.get(file) as readonly number[];
    const bytes = Buffer.from(disk.readFile(file) as Uint8Array);
    // Headers, and what follows them, more often than keys and values.
    let at = random.pick(used);
    if (random.chance(0.6)) at = (at & ~4095) + random.below(160);
    if (at >= bytes.length) continue;
    const aligned = Math.min(at & ~3, bytes.length - 4);
    const kind = random.below(4);
    if (kind === 0) bytes[at] = random.below(256);
    else if (kind === 1) bytes[at] = (bytes[at] as number) ^ (1 << random.below(8));
    else if (kind === 2) bytes.writeUInt32LE(random.pick(NUMBERS), aligned);
    else {
      const from = random.pick(used);
      bytes.copy(bytes, aligned, from & ~3, (from & ~3) + 16);
    }
    disk.writeFile(file, bytes);
    places.push([file, `at ${at} (${kind})`]);
  }
  return places;
}

/** Everything a caller may do with it. @returns whether it opened. */
async function use(disk: SimDisk, small: SmallStore): Promise<boolean> {
  let store: Store;
  try {
    store = await openSmall(disk, small.config);
  } catch (error) {
    if (!isCairnError(error)) throw error;
    return false;
  }
  try {
    for (const key of small.states.at(-1)?.keys() ?? []) await allowed(() => store.get(key));
    await allowed(() => store.verify());
    await allowed(async () => {
      for await (const [key, value] of store.entries()) assert.ok(key !== '' && value.length >= 0);
    });
    await allowed(() => store.put('key-1', Buffer.alloc(3000, 1)));
    await allowed(() => store.put('another', Buffer.alloc(100, 1)));
    await allowed(() => store.delete('key-4'));
    await allowed(() => store.checkpoint());
    await allowed(() => store.close());
  } finally {
    await abandon(disk, store);
  }
  return true;
}

async function allowed(run: () => Promise<unknown>): Promise<void> {
  try {
    await run();
  } catch (error) {
    if (!isCairnError(error)) throw error;
  }
}
