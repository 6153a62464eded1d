import { markAsUntransferable } from 'node:worker_threads';

/** Node has memory in common for what is shorter, 8 KiB at a time. */
const SHARED_BYTES_MIN = 2048;
const SHARED_BYTES_MAX = 16 * 1024;
const BLOCK_BYTES = 64 * 1024;

let block = Buffer.alloc(0);
let used = 0;

/**
 * Memory for a value that is read, its bytes undefined: part of a block that values read one after
 * the other have in common, as `Buffer.allocUnsafe` does for short ones. An `ArrayBuffer` for each
 * cost a seventh of a cold get of 4 KiB, most of it in the collector.
 */
export function valueMemory(bytes: number): Buffer {
  if (bytes < SHARED_BYTES_MIN || bytes > SHARED_BYTES_MAX) return Buffer.allocUnsafe(bytes);
  if (used + bytes > block.length) {
    block = Buffer.allocUnsafeSlow(BLOCK_BYTES);
    // One value must not take the others along to another thread.
    markAsUntransferable(block.buffer);
    used = 0;
  }
  const begin = used;
  // Values begin where an array of any number type may.
  used = (begin + bytes + 7) & ~7;
  return block.subarray(begin, begin + bytes);
}
