import type { SimDisk } from '../../../ts/bindings/addon.js';

// Makes every checksum of a store's files that of the bytes that it covers: what a file of someone
// who knows the format looks like, who may write whatever they like. docs/FORMAT.md.

const PAGE = 4096;
const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0);
  return crc;
});

function crc32c(seed: number, bytes: Uint8Array): number {
  let crc = ~seed;
  for (const byte of bytes) crc = (crc >>> 8) ^ (TABLE[(crc ^ byte) & 0xff] as number);
  return ~crc >>> 0;
}

function u64(value: bigint | number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

/** A store's files, one after the other. */
export class Resealer {
  readonly #disk: SimDisk;
  readonly #storeId: Buffer;

  constructor(disk: SimDisk) {
    this.#disk = disk;
    this.#storeId = this.#bytes('MANIFEST').subarray(16, 32);
  }

  /**
   * The manifest, which has the checksum of the checkpoint, is one of them in any case.
   *
   * @param records offsets of slot records in the values file.
   */
  files(names: Iterable<string>, records: readonly number[]): void {
    let trailerCrc: number | undefined;
    for (const name of names) {
      const bytes = this.#bytes(name);
      if (name.startsWith('log-')) this.#log(bytes);
      else if (name.startsWith('checkpoint-'))
        trailerCrc = this.#checkpoint(bytes, BigInt(`0x${name.slice('checkpoint-'.length)}`));
      else if (name === 'values') this.#values(bytes, records);
      else if (name === 'index') this.#index(bytes);
      else continue;
      this.#disk.writeFile(name, bytes);
    }
    const manifest = this.#bytes('MANIFEST');
    for (const root of [0, 32768]) {
      const bytes = manifest.subarray(root, root + 32768);
      if (trailerCrc !== undefined) bytes.writeUInt32LE(trailerCrc, 96);
      this.#sealPage(bytes, this.#seed(0x4d414e4946455354n, root, 0));
    }
    this.#disk.writeFile('MANIFEST', manifest);
  }

  /** Where a record that checks begins. */
  recordsIn(values: Uint8Array): number[] {
    const bytes = Buffer.from(values);
    const offsets: number[] = [];
    for (let at = 1 << 20; at + 24 <= bytes.length; at += 64) {
      if (bytes.readUInt32LE(at) !== 0 && this.#recordCrc(bytes, at) === bytes.readUInt32LE(at))
        offsets.push(at);
    }
    return offsets;
  }

  #bytes(name: string): Buffer {
    return Buffer.from(this.#disk.readFile(name) as Uint8Array);
  }

  #seed(file: bigint | number, offset: number, sequence: bigint | number): number {
    return crc32c(0, Buffer.concat([this.#storeId, u64(file), u64(offset), u64(sequence)]));
  }

  /** Of pages that have magic, crc, and what the crc covers from byte 12 on. */
  #sealPage(page: Buffer, seed: number): number {
    if (page.length <= 12) return 0;
    const crc = crc32c(seed, page.subarray(12));
    page.writeUInt32LE(crc, 8);
    return crc;
  }

  #log(bytes: Buffer): void {
    // The last group first: those before it may cover it.
    for (let at = bytes.length - PAGE; at >= PAGE; at -= PAGE) {
      if (bytes.readUInt32LE(at) !== 0x50524743) continue;
      const seed = this.#seed(bytes.readBigUInt64LE(at + 24), at, bytes.readBigUInt64LE(at + 32));
      this.#sealParts(bytes, at, 64, seed);
    }
    if (bytes.length < PAGE) return;
    const seed = this.#seed(bytes.readBigUInt64LE(32), 0, bytes.readBigUInt64LE(56));
    this.#sealPage(bytes.subarray(0, PAGE), seed);
  }

  /** Of groups and chunks: header_crc at 4, payload_crc at 8, payload_bytes at 12. */
  #sealParts(bytes: Buffer, at: number, headerBytes: number, seed: number): void {
    const payload = headerBytes + bytes.readUInt32LE(at + 12);
    const end = Math.min(bytes.length, at + Math.ceil(payload / PAGE) * PAGE);
    bytes.writeUInt32LE(crc32c(seed, bytes.subarray(at + headerBytes, end)), at + 8);
    bytes.writeUInt32LE(crc32c(seed, bytes.subarray(at + 8, at + headerBytes)), at + 4);
  }

  /** @returns the crc of its trailer. */
  #checkpoint(bytes: Buffer, id: bigint): number | undefined {
    let trailer: number | undefined;
    for (let at = 0; at + PAGE <= bytes.length; at += PAGE) {
      const seed = this.#seed(id, at, 0);
      const magic = bytes.readBigUInt64LE(at);
      if (at > 0 && bytes.readUInt32LE(at) === 0x4b4e4843) this.#sealParts(bytes, at, 48, seed);
      else if (at === 0) this.#sealPage(bytes.subarray(0, PAGE), seed);
      else if (magic === 0x31544b4352494143n)
        trailer = this.#sealPage(bytes.subarray(at, at + PAGE), seed);
    }
    return trailer;
  }

  #values(bytes: Buffer, records: readonly number[]): void {
    this.#sealPage(bytes.subarray(0, PAGE), this.#seed(1, 0, 0));
    for (const at of records) bytes.writeUInt32LE(this.#recordCrc(bytes, at), at);
  }

  #recordCrc(bytes: Buffer, at: number): number {
    const size = 24 + bytes.readUInt32LE(at + 4) + (bytes.readUInt32LE(at + 8) & 0xffffff);
    const seed = this.#seed(1, at, bytes.readBigUInt64LE(at + 16));
    return crc32c(seed, bytes.subarray(at + 4, Math.min(bytes.length, at + size)));
  }

  #index(bytes: Buffer): void {
    this.#sealPage(bytes.subarray(0, PAGE), this.#seed(3, 0, 0));
    for (let at = PAGE; at + PAGE <= bytes.length; at += PAGE) {
      if (bytes.readUInt32LE(at) !== 0x50584449) continue;
      const seed = this.#seed(3, at, bytes.readBigUInt64LE(at + 40));
      bytes.writeUInt32LE(crc32c(seed, bytes.subarray(at + 8, at + PAGE)), at + 4);
    }
  }
}
