import type { SimDisk } from '../../../ts/bindings/addon.js';
import type { SmallStore } from './small-stores.js';

const PAGE = 4096;
const SECTOR = 512;

/** What it is called, and what does it to a copy of the store. */
export type DamageCase = readonly [string, (disk: SimDisk) => void];

/** Offsets of a file worth damage: what is written, and every `stride`-th of the zeros beside it. */
export function offsetsOf(bytes: Uint8Array, stride: number): number[] {
  const offsets: number[] = [];
  for (let page = 0; page < bytes.length; page += PAGE) {
    const end = Math.min(page + PAGE, bytes.length);
    const used = bytes.subarray(page, end).some((byte) => byte !== 0);
    for (let at = page; at < end; at++) {
      if (bytes[at] !== 0 || (used && at % stride === 0)) offsets.push(at);
    }
  }
  return offsets;
}

/** One byte in each page of a file that nothing was written to. */
function untouchedOffsets(bytes: Uint8Array): number[] {
  const offsets: number[] = [];
  for (let page = 0; page < bytes.length; page += PAGE) {
    const used = bytes.subarray(page, page + PAGE).some((byte) => byte !== 0);
    // Another byte of each, as it comes.
    const at = page + (((page / PAGE) * 97) % PAGE);
    if (!used && at < bytes.length) offsets.push(at);
  }
  return offsets;
}

export interface FlipOptions {
  /** As {@link offsetsOf} has it; with 1 untouched pages get a byte each. */
  readonly stride: number;
  /** Of the offsets in this file, each how many-th is taken. */
  readonly stepOf: (name: string) => number;
}

export function* flippedBytes(
  small: SmallStore,
  { stride, stepOf }: FlipOptions,
): Generator<DamageCase> {
  let count = 0;
  for (const name of small.fileNames()) {
    const bytes = small.bytesOf(name);
    const offsets = offsetsOf(bytes, stride);
    if (stride === 1) offsets.push(...untouchedOffsets(bytes));
    for (const offset of offsets) {
      if (count++ % stepOf(name) !== 0) continue;
      const bit = offset % 8;
      yield [`${name}, byte ${offset}, bit ${bit}`, (disk) => void disk.flipBit(name, offset, bit)];
    }
  }
}

/** Sectors with something in them. */
function usedSectors(bytes: Uint8Array): number[] {
  const sectors: number[] = [];
  for (let at = 0; at < bytes.length; at += SECTOR) {
    if (bytes.subarray(at, at + SECTOR).some((byte) => byte !== 0)) sectors.push(at);
  }
  return sectors;
}

export function* zeroedSectors(small: SmallStore): Generator<DamageCase> {
  for (const name of small.fileNames()) {
    for (const at of usedSectors(small.bytesOf(name))) {
      yield [`${name}, sector at ${at} zeroed`, (disk) => void disk.zeroSector(name, at)];
    }
  }
}

/** Each with the next one, and with one further away. */
export function* swappedSectors(small: SmallStore): Generator<DamageCase> {
  for (const name of small.fileNames()) {
    const sectors = usedSectors(small.bytesOf(name));
    for (const [index, left] of sectors.entries()) {
      for (const right of [sectors[index + 1], sectors[(index * 7 + 3) % sectors.length]]) {
        if (right === undefined || right === left) continue;
        const label = `${name}, sectors at ${left} and ${right} swapped`;
        yield [label, (disk) => void disk.swapSectors(name, left, right)];
      }
    }
  }
}

/** Each sector that changed since the older image of the store. */
export function* olderSectors(small: SmallStore): Generator<DamageCase> {
  for (const name of small.fileNames()) {
    const [now, before] = [small.bytesOf(name), small.olderBytesOf(name)];
    for (let at = 0; at + SECTOR <= Math.min(now.length, before.length); at += SECTOR) {
      const sector = before.subarray(at, at + SECTOR);
      if (Buffer.compare(sector, now.subarray(at, at + SECTOR)) === 0) continue;
      const bytes = Uint8Array.from(now);
      bytes.set(sector, at);
      yield [`${name}, older sector at ${at}`, (disk) => disk.writeFile(name, bytes)];
    }
  }
}
