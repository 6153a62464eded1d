import { CairnError } from '../common/errors.js';
import { hasLoneSurrogate } from '../common/units.js';
import { KeyHasher, type KeyHash } from '../index/key-hash.js';
import type { IterateOptions, Key, StoredKey } from './api.js';

export const KEY_BYTES_MAX = 65_536;
/** Room for the text keys that most stores have; a longer one gets room for all. */
const SCRATCH_BYTES = 1024;

/**
 * Checks, encodes and hashes keys. One key at a time: `bytes`, `length` and `hash` describe the key
 * encoded last, so that a single-key operation allocates nothing for it.
 */
export interface KeyCodec {
  readonly type: 'bytes' | 'u64';
  /** The first {@link length} bytes are the key. May be the caller's own array: use it at once. */
  readonly bytes: Uint8Array;
  readonly length: number;
  readonly hash: KeyHash;
  /** @throws CairnError CAIRN_INVALID_KEY. */
  encode(key: Key): void;
  /** As {@link encode}, for a key as it is stored. */
  encodeStored(bytes: Uint8Array, length: number): void;
  decode(stored: Buffer, options?: IterateOptions): StoredKey;
}

export function createKeyCodec(type: 'bytes' | 'u64', hashKey: Uint8Array): KeyCodec {
  return type === 'u64' ? new U64KeyCodec(hashKey) : new BytesKeyCodec(hashKey);
}

class BytesKeyCodec implements KeyCodec {
  readonly type = 'bytes';
  readonly hash: KeyHash;
  bytes: Uint8Array;
  length = 0;
  readonly #hasher: KeyHasher;
  #scratch = Buffer.alloc(SCRATCH_BYTES);

  constructor(hashKey: Uint8Array) {
    this.#hasher = new KeyHasher(hashKey);
    this.hash = this.#hasher.words;
    this.bytes = this.#scratch;
  }

  encode(key: Key): void {
    if (typeof key === 'string') this.#encodeString(key);
    else if (key instanceof Uint8Array) {
      this.bytes = key;
      this.length = key.length;
    } else {
      throw invalidKey(`a key of this store is a string or a Uint8Array, not ${describe(key)}`);
    }
    if (this.length === 0 || this.length > KEY_BYTES_MAX) {
      throw invalidKey(`a key has 1 to ${KEY_BYTES_MAX} bytes, this one ${this.length}`);
    }
    this.#hasher.hashBytes(this.bytes, this.length);
  }

  encodeStored(bytes: Uint8Array, length: number): void {
    this.bytes = bytes;
    this.length = length;
    this.#hasher.hashBytes(bytes, length);
  }

  decode(stored: Buffer, options?: IterateOptions): StoredKey {
    return options?.keyEncoding === 'utf8' ? stored.toString('utf8') : Buffer.from(stored);
  }

  #encodeString(key: string): void {
    const scratch = this.#scratch;
    const length = key.length;
    this.bytes = scratch;
    if (length > KEY_BYTES_MAX) {
      throw invalidKey(`a key has 1 to ${KEY_BYTES_MAX} bytes, this one at least ${length}`);
    }
    // Short ASCII keys, the common case, in 27 ns for 16 characters; utf8Write takes 41.
    if (length <= 64) {
      let at = 0;
      for (; at < length; at++) {
        const code = key.charCodeAt(at);
        if (code >= 0x80) break;
        scratch[at] = code;
      }
      if (at === length) {
        this.length = length;
        return;
      }
    }
    const bytes = Buffer.byteLength(key, 'utf8');
    if (bytes !== length) checkWellFormed(key);
    if (bytes <= KEY_BYTES_MAX) {
      if (bytes > scratch.length) this.bytes = this.#scratch = Buffer.alloc(KEY_BYTES_MAX);
      this.#scratch.write(key, 'utf8');
    }
    this.length = bytes;
  }
}

class U64KeyCodec implements KeyCodec {
  readonly type = 'u64';
  readonly bytes = Buffer.alloc(8);
  readonly length = 8;
  readonly hash: KeyHash;
  readonly #hasher: KeyHasher;
  readonly #words = new Uint32Array(this.bytes.buffer, this.bytes.byteOffset, 2);

  constructor(hashKey: Uint8Array) {
    this.#hasher = new KeyHasher(hashKey);
    this.hash = this.#hasher.words;
  }

  encode(key: Key): void {
    let low: number;
    let high: number;
    if (typeof key === 'number') {
      if (!Number.isSafeInteger(key) || key < 0) {
        throw invalidKey(
          `a numeric key is an integer of 0 to 2^53 - 1 (larger ones as bigint), not ${key}`,
        );
      }
      low = key >>> 0;
      high = (key - low) / 0x1_0000_0000;
    } else if (typeof key === 'bigint') {
      if (key < 0n || key > 0xffff_ffff_ffff_ffffn) {
        throw invalidKey(`a key of this store is an integer of 0 to 2^64 - 1, not ${key}`);
      }
      low = Number(key & 0xffff_ffffn);
      high = Number(key >> 32n);
    } else {
      throw invalidKey(`a key of this store is a number or a bigint, not ${describe(key)}`);
    }
    this.#words[0] = low;
    this.#words[1] = high;
    this.#hasher.hashU64(low, high);
  }

  encodeStored(bytes: Uint8Array, length: number): void {
    if (length !== 8) throw invalidKey(`a stored u64 key has 8 bytes, not ${length}`);
    this.bytes.set(bytes.subarray(0, 8));
    this.#hasher.hashU64(this.#words[0] as number, this.#words[1] as number);
  }

  decode(stored: Buffer): StoredKey {
    return stored.readBigUInt64LE(0);
  }
}

/** Half of a surrogate pair has no UTF-8: all of them would become the same U+FFFD. */
function checkWellFormed(key: string): void {
  if (!hasLoneSurrogate(key)) return;
  throw invalidKey(
    'a key is well-formed Unicode, this one has half of a surrogate pair: use bytes',
  );
}

function invalidKey(message: string): CairnError {
  return new CairnError('CAIRN_INVALID_KEY', message);
}

function describe(key: unknown): string {
  if (key === null) return 'null';
  if (Array.isArray(key)) return 'an array';
  return typeof key === 'object' ? 'an object' : `${typeof key}`;
}
