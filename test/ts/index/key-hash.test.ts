import assert from 'node:assert/strict';
import * as fc from 'fast-check';
import { KeyHasher } from '../../../ts/index/key-hash.js';

/** Mouha, reference implementation of Chaskey: tag of the message 00 01 02 .. of that length. */
const VECTORS: readonly (readonly [number, readonly number[]])[] = [
  [0, [0x792e8fe5, 0x75ce87aa, 0x2d1450b5, 0x1191970b]],
  [1, [0x13a9307b, 0x50e62c89, 0x4577bd88, 0xc0bbdc18]],
  [8, [0x09330f69, 0x62b5dce0, 0xa4fba462, 0xf20d3c12]],
  [15, [0x51b94da4, 0xefcc4de8, 0x192412ea, 0xbbc170dd]],
  [16, [0x79271ca9, 0xd66a1c71, 0x81ca474e, 0x49831cad]],
  [17, [0x048da968, 0x4e25d096, 0x2d6cf897, 0xbc3959ca]],
  [32, [0x60b3f7af, 0x37eee7c8, 0x836cfd98, 0x782ca060]],
  [33, [0xdf44ea33, 0xb0b2c398, 0x0583ce6f, 0x846d823e]],
  [63, [0x9047fad7, 0x88136d8c, 0xa488286b, 0x7fe9352c]],
];
const VECTOR_KEY = new Uint8Array(
  Uint32Array.of(0x833d3433, 0x009f389f, 0x2398e64f, 0x417acf39).buffer,
);

const hashKey = fc.uint8Array({ minLength: 16, maxLength: 16 });
const int32 = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });

describe('KeyHasher', () => {
  it('computes the published vectors of Chaskey with 8 rounds', () => {
    const hasher = new KeyHasher(VECTOR_KEY);
    for (const [length, words] of VECTORS) {
      hasher.hashBytes(
        Uint8Array.from({ length }, (_, i) => i),
        length,
      );
      assert.deepEqual(
        [...hasher.words].map((word) => word >>> 0),
        words,
      );
    }
  });

  it('reads only the first bytes of a longer buffer, and leaves nothing of earlier keys', () => {
    const hasher = new KeyHasher(VECTOR_KEY);
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 80 }),
        fc.uint8Array({ maxLength: 80 }),
        (key, rest) => {
          hasher.hashBytes(key, key.length);
          const alone = [...hasher.words];
          hasher.hashBytes(rest, rest.length);
          hasher.hashBytes(Uint8Array.of(...key, ...rest), key.length);
          assert.deepEqual([...hasher.words], alone);
        },
      ),
      { seed: 1 },
    );
  });

  it('tells a short key from the same key with zeros or a one behind it', () => {
    const hasher = new KeyHasher(VECTOR_KEY);
    const seen = new Set<string>();
    const bytes = new Uint8Array(64);
    for (let length = 0; length <= 64; length++) {
      hasher.hashBytes(bytes, length);
      seen.add(hasher.words.join());
      bytes[length] = 1;
      hasher.hashBytes(bytes, Math.min(length + 1, 64));
      seen.add(hasher.words.join());
      bytes[length] = 0;
    }
    assert.ok(seen.size >= 129);
  });

  it('turns u64 keys into (d, h) and back, for every hash key', () => {
    fc.assert(
      fc.property(hashKey, int32, int32, (key, lo, hi) => {
        const hasher = new KeyHasher(key);
        hasher.hashU64(lo, hi);
        const [d = 0, h = 0, t, x] = hasher.words;
        assert.equal(t, 0);
        assert.equal(x, 0);
        hasher.unhashU64(d, h);
        assert.deepEqual([...hasher.decoded], [lo, hi]);
      }),
      { seed: 2 },
    );
  });

  it('takes unsigned halves as it takes signed ones', () => {
    const hasher = new KeyHasher(VECTOR_KEY);
    hasher.hashU64(-1, -2);
    const signed = [...hasher.words];
    hasher.hashU64(2 ** 32 - 1, 2 ** 32 - 2);
    assert.deepEqual([...hasher.words], signed);
  });

  it('refuses a hash key of another length', () => {
    assert.throws(() => new KeyHasher(new Uint8Array(15)), RangeError);
  });
});
