import assert from 'node:assert/strict';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { DirectoryIndexOptions } from '../../../ts/index/directory-index.js';
import { HashIndex } from '../../../ts/index/hash-index.js';
import { KeyHasher } from '../../../ts/index/key-hash.js';
import {
  ByKey,
  countHandles,
  exportAll,
  indexConformance,
  TEST_HASH_KEY,
  throwsCode,
} from '../../support/index-conformance.js';

function make(options: Omit<DirectoryIndexOptions, 'hashKey'> = {}): HashIndex {
  return new HashIndex({ hashKey: TEST_HASH_KEY, ...options });
}

function bulk(index: HashIndex, from: number, to: number): void {
  const step = 10_000;
  const old = new Float64Array(step);
  for (let at = from; at < to; at += step) {
    const keys = BigUint64Array.from({ length: Math.min(step, to - at) }, (_, i) => BigInt(at + i));
    index.bulkPut(
      keys,
      Float64Array.from(keys, (key) => Number(key) + 1),
      old,
    );
  }
}

describe('HashIndex', () => {
  indexConformance((hashKey) => new HashIndex({ hashKey }));

  it('holds byte keys by 80 bits of their hash', () => {
    const index = make();
    const hasher = new KeyHasher(TEST_HASH_KEY);
    const encoder = new TextEncoder();
    const hash = (i: number): Int32Array => {
      const key = encoder.encode(`user:${i}:session`);
      hasher.hashBytes(key, key.length);
      return hasher.words;
    };
    for (let i = 0; i < 100_000; i++) assert.equal(index.put(hash(i), i + 1), 0);
    for (let i = 0; i < 100_000; i++) assert.equal(index.get(hash(i)), i + 1);
    for (let i = 100_000; i < 200_000; i++) assert.equal(index.get(hash(i)), 0);
    const copy = make();
    for (const chunk of exportAll(index)) copy.importChunk(chunk);
    for (let i = 0; i < 100_000; i++) assert.equal(copy.get(hash(i)), i + 1);
    index.close();
    copy.close();
  });

  it('sees in TypeScript what the addon put, and in the addon what TypeScript put', () => {
    const index = make();
    const by = new ByKey(index);
    // Enough for several regions' worth of splits between the turns of either.
    for (let round = 0; round < 20; round++) {
      const from = round * 20_000;
      bulk(index, from, from + 10_000);
      for (let i = from + 10_000; i < from + 20_000; i++) assert.equal(by.put(BigInt(i), i + 1), 0);
      for (let i = from; i < from + 10_000; i += 97) assert.equal(by.get(BigInt(i)), i + 1);
      for (let i = from + 5_000; i < from + 15_000; i += 2)
        assert.equal(by.delete(BigInt(i)), i + 1);
    }
    const keys = BigUint64Array.from({ length: 400_000 }, (_, i) => BigInt(i));
    const handles = new Float64Array(keys.length);
    assert.equal(index.batchGet(keys, handles), index.size);
    handles.forEach((handle, i) => {
      const deleted = i % 20_000 >= 5_000 && i % 20_000 < 15_000 && i % 2 === 0;
      assert.equal(handle, deleted ? 0 : i + 1);
    });
    index.close();
  });

  it('takes at most 20 bytes per key from 100,000 to 3 million keys', function () {
    this.timeout(60_000);
    const index = make();
    let from = 0;
    // The sizes asked for, and steps in between: the worst is just after segments have grown.
    for (
      let to = 100_000;
      to <= 3_000_000;
      to = Math.min(Math.ceil(to * 1.02), Math.max(to + 1, 3_000_000))
    ) {
      bulk(index, from, to);
      from = to;
      assert.ok(index.memoryBytes <= 20 * index.size, `${index.memoryBytes / index.size} at ${to}`);
      if (to === 3_000_000) break;
    }
    for (const size of [100_000, 300_000, 1_000_000]) {
      const other = make();
      bulk(other, 0, size);
      assert.ok(other.memoryBytes <= 20 * size, `${other.memoryBytes / size} at ${size}`);
      other.close();
    }
    index.close();
  });

  it('keeps keys that all have the same place, and says when there is no room', () => {
    const index = make({ placementMask: 0 });
    const by = new ByKey(index);
    const kept = 8447;
    for (let i = 0; i < 4096; i++) assert.equal(by.put(BigInt(i), i + 1), 0);
    bulk(index, 4096, kept);
    assert.equal(index.size, kept);
    throwsCode('CAIRN_NO_SPACE', () => by.put(BigInt(kept), 1));
    throwsCode('CAIRN_NO_SPACE', () => bulk(index, kept, kept + 1));
    assert.equal(by.put(5n, 6), 6);
    for (let i = 0; i < kept; i++) assert.equal(by.get(BigInt(i)), i + 1);
    assert.equal(by.get(BigInt(kept)), 0);
    assert.equal(countHandles(index).size, kept);
    const copy = make({ placementMask: 0 });
    for (const chunk of exportAll(index)) copy.importChunk(chunk);
    assert.equal(copy.size, kept);
    for (let i = 0; i < kept; i++) assert.equal(by.delete(BigInt(i)), i + 1);
    assert.equal(index.size, 0);
    assert.equal(by.put(BigInt(kept), 1), 0);
    index.close();
    copy.close();
  });

  it('agrees with a Map when few bits place the keys', () => {
    for (const placementMask of [0x80000000, 0xf0000000, 0xfff00000]) {
      const index = make({ placementMask });
      const by = new ByKey(index);
      for (let i = 0; i < 12_000; i++) assert.equal(by.put(BigInt(i), i + 1), 0);
      for (let i = 0; i < 12_000; i += 3) assert.equal(by.delete(BigInt(i)), i + 1);
      for (let i = 0; i < 12_000; i++) assert.equal(by.get(BigInt(i)), i % 3 === 0 ? 0 : i + 1);
      index.close();
    }
  });

  it('makes distinct keys equal entries when told to', () => {
    const index = make({ identityMask: 1 });
    const by = new ByKey(index);
    for (let i = 0; i < 1000; i++) by.put(BigInt(i), i + 1);
    assert.equal(index.size, 4);
    assert.equal(countHandles(index).size, 4);
    index.close();
  });

  it('refuses options that cannot work', () => {
    throwsCode('CAIRN_INVALID_ARGUMENT', () => make({ placementMask: 0x0f }));
    throwsCode('CAIRN_INVALID_ARGUMENT', () => make({ placementMask: 0xff0f0000 }));
    throwsCode('CAIRN_INVALID_ARGUMENT', () => new HashIndex({ hashKey: new Uint8Array(3) }));
  });

  it('keeps several tables apart', () => {
    const tables = Array.from({ length: 8 }, () => make());
    tables.forEach((index, t) => {
      for (let i = 0; i < 2000; i++) new ByKey(index).put(BigInt(i), i * 8 + t + 1);
    });
    tables.forEach((index, t) => {
      if (t % 2 === 0) index.close();
    });
    tables.forEach((index, t) => {
      if (t % 2 === 0) return;
      for (let i = 0; i < 2000; i++) assert.equal(new ByKey(index).get(BigInt(i)), i * 8 + t + 1);
      index.close();
    });
  });

  it('shows the host little memory while it is small', () => {
    const index = make();
    const memory = [index.native.directory(), index.native.segments(), index.native.region(0)];
    const bytes = memory.reduce((sum, buffer) => sum + buffer.byteLength, 0);
    assert.equal(bytes < 320 * 1024, true, `${bytes} bytes`);
    index.close();
  });

  it('frees memory only after close and the last view', async () => {
    // Views that outlive a table must stay readable, whenever the collector runs.
    for (let i = 0; i < 300; i++) {
      const index = make();
      new ByKey(index).put(1n, 2);
      const memory = new Int32Array(index.native.control());
      const region = new Int32Array(index.native.region(0));
      index.close();
      assert.equal(memory.length * region.length > 0, true);
      assert.equal(memory[0] !== undefined && region[region.length - 1] === 0, true);
      if (i % 50 === 0) await nextTurn();
    }
  });

  it('is refused by the addon when arguments have another type', () => {
    const index = make();
    const native = index.native as unknown as Record<string, (...args: unknown[]) => unknown>;
    for (const name of [
      'region',
      'makeRoom',
      'batchGet',
      'bulkPut',
      'exportChunk',
      'importChunk',
      'handlesFrom',
    ]) {
      assert.throws(() => native[name]!({}, 'x', null), TypeError);
      assert.throws(() => native[name]!(), TypeError);
    }
    assert.throws(() => native['region']!.call(index.native, 99), TypeError);
    index.close();
  });
});
