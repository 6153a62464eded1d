/**
 * Everything random in a benchmark, seeded: the same seed gives the same keys, values and order of
 * access in every engine and every run.
 */
export const BLOCK_BYTES = 8 * 1024 * 1024;

/** xorshift32: as fast as a loop over a device or a table needs, and good enough to pick keys. */
export class Random {
  #state: number;

  constructor(seed: number) {
    // The generator never leaves zero.
    this.#state = seed >>> 0 || 0x9e3779b9;
  }

  /** 0 to 2^32 - 1. */
  next(): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x >>> 0;
    return this.#state;
  }

  /** 0 to bound - 1; a multiplication, because a modulo would cost more than a table probe. */
  below(bound: number): number {
    return Math.floor((this.next() / 0x1_0000_0000) * bound);
  }

  /** In [0, 1). */
  unit(): number {
    return this.next() / 0x1_0000_0000;
  }
}

/** A bijection of 32-bit numbers (the finalizer of MurmurHash3), so distinct numbers stay distinct. */
export function mix32(value: number): number {
  let x = value >>> 0;
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return (x ^ (x >>> 16)) >>> 0;
}

/** The identities of `count` entries in their random order of arrival; each becomes a key and a value. */
export function identities(count: number, from = 0): Uint32Array {
  const all = new Uint32Array(count);
  for (let i = 0; i < count; i += 1) all[i] = mix32(from + i + 1);
  return all;
}

const hex8 = (value: number): string => (value >>> 0).toString(16).padStart(8, '0');

/** 16 characters; they sort as their identities do. */
export function textKey(identity: number): string {
  return hex8(identity) + hex8(mix32(identity ^ 0x5bd1e995));
}

/**
 * Values are slices of one incompressible block at a place given by the entry's identity: a small pool
 * of whole values would be found by any compressor (one peer wrote 0.72 bytes for each byte of such).
 */
export class ValueBlock {
  readonly bytes = Buffer.allocUnsafeSlow(BLOCK_BYTES);

  constructor(seed = 1) {
    const random = new Random(seed);
    const words = new Uint32Array(this.bytes.buffer, this.bytes.byteOffset, BLOCK_BYTES / 4);
    for (let i = 0; i < words.length; i += 1) words[i] = random.next();
  }

  /** A view of `length` bytes that belongs to this identity and version. */
  value(identity: number, length: number, version = 0): Buffer {
    const span = BLOCK_BYTES - length + 1;
    const offset = Math.floor((mix32(identity + version) / 0x1_0000_0000) * span);
    return this.bytes.subarray(offset, offset + length);
  }

  /** Rows of `rowBytes` one after the other, each the value of its identity. */
  rows(all: Uint32Array, rowBytes: number): Uint8Array {
    const rows = new Uint8Array(all.length * rowBytes);
    for (let i = 0; i < all.length; i += 1) {
      rows.set(this.value(all[i] ?? 0, rowBytes), i * rowBytes);
    }
    return rows;
  }
}

/**
 * Ranks 0 to items - 1 with a zipfian weight (Gray et al., SIGMOD 1994, as in YCSB); scatter the rank
 * by a permutation before use, or the hot rows are neighbours.
 */
export class Zipfian {
  readonly #items: number;
  readonly #theta: number;
  readonly #zeta: number;
  readonly #alpha: number;
  readonly #eta: number;

  constructor(items: number, theta = 0.99) {
    this.#items = items;
    this.#theta = theta;
    let zeta = 0;
    for (let i = 1; i <= items; i += 1) zeta += 1 / i ** theta;
    const zetaTwo = 1 + 1 / 2 ** theta;
    this.#zeta = zeta;
    this.#alpha = 1 / (1 - theta);
    this.#eta = (1 - (2 / items) ** (1 - theta)) / (1 - zetaTwo / zeta);
  }

  next(random: Random): number {
    const u = random.unit();
    const uz = u * this.#zeta;
    if (uz < 1) return 0;
    if (uz < 1 + 0.5 ** this.#theta) return Math.min(1, this.#items - 1);
    const rank = Math.floor(this.#items * (this.#eta * u - this.#eta + 1) ** this.#alpha);
    return Math.min(rank, this.#items - 1);
  }
}
