import assert from 'node:assert/strict';
import { isCairnError } from '../../../ts/common/errors.js';
import { Resealer } from '../../support/robustness/reseal.js';
import {
  makeSmallStore,
  openSmall,
  type Contents,
  type SmallStore,
} from '../../support/robustness/small-stores.js';
import type { SimDisk } from '../../../ts/bindings/addon.js';

const KEY_AT = 24;

/** The slot of `key` has a whole record of `other`, as when the device lost a write it confirmed. */
function replaceRecord(small: SmallStore, key: string, other: string): SimDisk {
  const disk = small.copy();
  const bytes = Buffer.from(disk.readFile('values') as Uint8Array);
  const resealer = new Resealer(disk);
  const keyOf = (at: number): string =>
    bytes.toString('utf8', at + KEY_AT, at + KEY_AT + (bytes.readUInt32LE(at + 8) & 0xffffff));
  const records = resealer.recordsIn(bytes).filter((at) => keyOf(at) === key);
  // Older records of the key, whose slots nothing names, are replaced as well.
  assert.ok(records.length > 0, `${key} has a record`);
  for (const at of records) bytes.write(other, at + KEY_AT);
  disk.writeFile('values', bytes);
  resealer.files(['values'], records);
  return disk;
}

const isDamage = (error: unknown): boolean =>
  isCairnError(error, 'CAIRN_CORRUPTION') && error.file === 'values';

describe('a record of another key in the slot of a key (fault model F4)', () => {
  // Symptom: the key was absent, and a walk gave the other one twice.
  // Cause: a record whose checksum is right was taken for a key that collides with another.
  // Fix: two keys collide only when their hashes are equal; anything else is damage.
  const stores = {
    'SSD_SLAB, DRAM_PET_HASH': { index: 'DRAM_PET_HASH' },
    'SSD_SLAB, DRAM_EXTENDIBLE_HASH': { index: 'DRAM_EXTENDIBLE_HASH' },
    'SSD_SLAB, DRAM_UNORDERED_MAP': { index: 'DRAM_UNORDERED_MAP' },
    'SSD_SLAB, SSD_EXTENDIBLE_HASH': { index: 'SSD_EXTENDIBLE_HASH' },
    SSD_BUDDY: { allocator: 'SSD_BUDDY' },
  } as const;

  for (const [name, options] of Object.entries(stores)) {
    describe(name, () => {
      let small: SmallStore;
      let contents: Contents;
      before(async () => {
        small = await makeSmallStore('SSD_VALUE_STORE', true, options);
        contents = small.states.at(-1) as Contents;
      });

      for (const [what, other] of [
        ['of a key that is there', 'key-5'],
        ['of a key that never was', 'key-x'],
      ] as const) {
        it(`is damage of that key alone: ${what}`, async () => {
          const disk = replaceRecord(small, 'key-7', other);
          const store = await openSmall(disk, small.config);
          await assert.rejects(store.get('key-7'), isDamage);
          assert.throws(() => store.getSync('key-7'), isDamage);
          await assert.rejects(store.batchGet(['key-5', 'key-7']), isDamage);
          const report = await store.verify();
          assert.equal(report.damagedCount, 1);
          assert.equal(report.records, contents.size - 1);
          const walked: string[] = [];
          await assert.rejects(async () => {
            for await (const [key] of store.entries({ keyEncoding: 'utf8' })) {
              walked.push(key as string);
            }
          }, isDamage);
          assert.equal(new Set(walked).size, walked.length, 'no key twice');
          assert.ok(!walked.includes('key-x') && !walked.includes('key-7'));
          for (const [key, value] of contents) {
            if (key !== 'key-7') assert.deepEqual(await store.get(key), value, key);
          }
          await store.put('key-7', 'new');
          assert.equal((await store.get('key-7'))?.toString(), 'new');
          assert.equal((await store.verify()).damagedCount, 0);
          await store.close();
          disk.release();
        });
      }
    });
  }
});
