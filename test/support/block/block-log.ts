import { closeSync, openSync, readSync, writeSync } from 'node:fs';

/**
 * What qemu's blklogwrites and logged-disk.c write: the format of dm-log-writes (Linux, Documentation/admin-guide/
 * device-mapper/log-writes.rst): a sector {u64 magic, u64 version, u64 entries, u32 sector bytes},
 * then for each entry a sector {u64 sector, u64 sectors, u64 flags, u64 data bytes} and its data.
 */
const MAGIC = 0x6a736677736872n;
const FLUSH = 1n;
const FUA = 2n;
const DISCARD = 4n;

export interface LoggedWrite {
  readonly flush: boolean;
  readonly fua: boolean;
  readonly discard: boolean;
  readonly offset: number;
  readonly bytes: number;
  /** Of the data in the log. */
  readonly dataOffset: number;
}

export class BlockLog {
  readonly #fd: number;
  readonly entries: readonly LoggedWrite[];

  constructor(path: string) {
    this.#fd = openSync(path, 'r');
    const first = this.#read(0, 512);
    if (first.readBigUInt64LE(0) !== MAGIC) throw new Error(`${path} is no log of writes`);
    const sector = first.readUInt32LE(24);
    const count = Number(first.readBigUInt64LE(16));
    const entries: LoggedWrite[] = [];
    for (let at = sector; entries.length < count;) {
      const head = this.#read(at, 32);
      const flags = head.readBigUInt64LE(16);
      const discard = (flags & DISCARD) !== 0n;
      const bytes = Number(head.readBigUInt64LE(8)) * sector;
      entries.push({
        flush: (flags & FLUSH) !== 0n,
        fua: (flags & FUA) !== 0n,
        discard,
        offset: Number(head.readBigUInt64LE(0)) * sector,
        bytes,
        dataOffset: at + sector,
      });
      at += sector + (discard ? 0 : bytes);
    }
    this.entries = entries;
  }

  /** Writes the entry, or `bytes` of it from its byte `from` on, to where it goes in an image. */
  apply(entry: LoggedWrite, image: number, from = 0, bytes = entry.bytes - from): void {
    // What a discarded block holds is the device's choice: what it held.
    if (entry.discard || bytes === 0) return;
    writeSync(image, this.#read(entry.dataOffset + from, bytes), 0, bytes, entry.offset + from);
  }

  close(): void {
    closeSync(this.#fd);
  }

  #read(offset: number, bytes: number): Buffer {
    const buffer = Buffer.alloc(bytes);
    if (readSync(this.#fd, buffer, 0, bytes, offset) !== bytes)
      throw new Error('the log ends early');
    return buffer;
  }
}
