import type { Key } from '../../../ts/index.js';
import { bytesOf } from '../stores.js';
import { ABSENT } from './checker.js';

const FILLER = bytesOf(77, 64 * 1024);
/** In the log, in a slot of a page, across pages, and above the inline limit. */
const LENGTHS = [8, 24, 100, 100, 300, 1100, 1100, 4000, 5000, 20_000];

/** Keys and values of one store: a value says which put it is of. */
export interface Codec {
  /** Of rows; undefined: values of many lengths. */
  readonly rowBytes: number | undefined;
  keyOf(key: number): Key;
  numberOf(key: Buffer | string | bigint): number;
}

export function codecOf(keyType: 'bytes' | 'u64', rowBytes: number | undefined): Codec {
  const isBytes = keyType === 'bytes';
  return {
    rowBytes,
    // Far apart, and up to the largest.
    keyOf: (key) => (isBytes ? `key-${key}` : 2n ** 64n - 1n - BigInt(key) * 0x1_0000_0003n),
    numberOf: (key) =>
      typeof key === 'bigint'
        ? Number((2n ** 64n - 1n - key) / 0x1_0000_0003n)
        : Number(key.toString().slice(4)),
  };
}

export function valueOf({ rowBytes }: Codec, id: number, key: number): Buffer {
  const length = rowBytes ?? LENGTHS[(id * 7 + key) % LENGTHS.length] ?? 8;
  const value = Buffer.from(FILLER.subarray(id % 4093, (id % 4093) + length));
  value.writeUInt32LE(id, 0);
  value.writeUInt32LE(key, 4);
  return value;
}

/**
 * The put that a value is of, ABSENT for none.
 *
 * @throws Error when it is no whole value of the key.
 */
export function putOf(codec: Codec, value: Buffer | undefined, key: number): number {
  if (value === undefined) return ABSENT;
  const id = value.length < 8 ? -1 : value.readUInt32LE(0);
  if (id < 0 || !value.equals(valueOf(codec, id, key))) {
    throw new Error(`key ${key}: ${value.length} bytes that nobody put there`);
  }
  return id;
}
