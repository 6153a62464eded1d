export const KIB = 1024;
export const MIB = 1024 * KIB;
export const GIB = 1024 * MIB;
export const TIB = 1024 * GIB;

/** The unit of I/O; native/base/aligned_buffer.h has the same number and the reason. */
export const PAGE_BYTES = 4096;

/** Rounds down to a multiple. Both are integers below 2^53, the alignment need not be a power of two. */
export function alignDown(value: number, alignment: number): number {
  return value - (value % alignment);
}

/** Rounds up to a multiple: `alignUp(1, 4096)` is 4096, `alignUp(8192, 4096)` is 8192. */
export function alignUp(value: number, alignment: number): number {
  const over = value % alignment;
  return over === 0 ? value : value + (alignment - over);
}

/** Also above 2^31, where the bit trick on 32-bit integers fails. */
export function isPowerOfTwo(value: number): boolean {
  if (!Number.isSafeInteger(value) || value < 1) return false;
  // log2 rounds to an integer for 2^49 - 1 as well, so the power is taken back.
  return 2 ** Math.round(Math.log2(value)) === value;
}

/** `formatBytes(67108864)` is '64 MiB': the largest unit that leaves no more than one decimal. */
export function formatBytes(bytes: number): string {
  const units = ['TiB', 'GiB', 'MiB', 'KiB'] as const;
  const sizes = [TIB, GIB, MIB, KIB] as const;
  for (const [index, size] of sizes.entries()) {
    if (bytes >= size) return `${Number((bytes / size).toFixed(1))} ${units[index] ?? 'B'}`;
  }
  return `${bytes} B`;
}

/** A copy with memory of its own; `slice()` of a Buffer shares the memory. */
export function copyBytes(bytes: Uint8Array, length = bytes.length): Uint8Array {
  const copy = new Uint8Array(length);
  copy.set(length === bytes.length ? bytes : bytes.subarray(0, length));
  return copy;
}

const LONE_SURROGATE = /\p{Surrogate}/u;

/** The string cannot be written as UTF-8. */
export function hasLoneSurrogate(text: string): boolean {
  return LONE_SURROGATE.test(text);
}
