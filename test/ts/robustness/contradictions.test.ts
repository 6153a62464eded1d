import assert from 'node:assert/strict';
import { isCairnError, type ErrorCode } from '../../../ts/common/errors.js';
import { Resealer } from '../../support/robustness/reseal.js';
import {
  abandon,
  makeSmallStore,
  openSmall,
  type SmallStore,
} from '../../support/robustness/small-stores.js';

const PAGE = 4096;
const CHUNK_MAGIC = 0x4b4e4843;

/** Opens a copy in which a file was edited, every checksum right. @returns the code that refuses it. */
async function edited(
  small: SmallStore,
  name: string,
  edit: (bytes: Buffer) => void,
): Promise<ErrorCode | undefined> {
  const disk = small.copy();
  const bytes = Buffer.from(disk.readFile(name) as Uint8Array);
  edit(bytes);
  disk.writeFile(name, bytes);
  new Resealer(disk).files([name], []);
  try {
    await abandon(disk, await openSmall(disk, small.config));
    return undefined;
  } catch (error) {
    if (!isCairnError(error)) throw error;
    return error.code;
  } finally {
    disk.release();
  }
}

const named = (small: SmallStore, start: string): string =>
  small.fileNames().find((name) => name.startsWith(start)) as string;
/** Offset of the first chunk of that kind. */
function chunkOf(bytes: Buffer, kind: number): number {
  for (let at = PAGE; at < bytes.length; at += PAGE) {
    if (bytes.readUInt32LE(at) === CHUNK_MAGIC && bytes.readUInt16LE(at + 32) === kind) return at;
  }
  throw new Error(`there is no chunk of kind ${kind}`);
}

/** Its payload ends there, and zeros follow. */
function cutChunk(bytes: Buffer, chunk: number, payloadBytes: number): void {
  const end = chunk + Math.ceil((48 + bytes.readUInt32LE(chunk + 12)) / PAGE) * PAGE;
  bytes.writeUInt32LE(payloadBytes, chunk + 12);
  bytes.fill(0, chunk + 48 + payloadBytes, end);
}

// What checks and cannot be: another version's, or written by no version at all.
describe('files whose checksums are right', () => {
  let ssd: SmallStore;
  let pages: SmallStore;
  let memory: SmallStore;
  before(async () => {
    ssd = await makeSmallStore('SSD_VALUE_STORE', false);
    pages = await makeSmallStore('SSD_VALUE_STORE', false, { index: 'SSD_EXTENDIBLE_HASH' });
    memory = await makeSmallStore('DRAM_VALUE_STORE', true, { index: 'DRAM_UNORDERED_MAP' });
  });
  const checkpoint = (small: SmallStore, edit: (bytes: Buffer) => void) =>
    edited(small, named(small, 'checkpoint-'), edit);

  it('open when nothing was edited', async () => {
    for (const small of [ssd, pages, memory]) {
      for (const name of small.fileNames().filter((each) => each !== 'LOCK'))
        assert.equal(await edited(small, name, () => undefined), undefined, name);
    }
  });

  it('are refused as of another version, whichever file it is', async () => {
    const log = named(ssd, 'log-');
    for (const [small, name, at] of [
      [ssd, 'MANIFEST', 12],
      [ssd, 'MANIFEST', 32768 + 12],
      [ssd, log, 12],
      [ssd, named(ssd, 'checkpoint-'), 12],
      [ssd, 'values', 12],
      [pages, 'index', 12],
    ] as const) {
      const code = await edited(small, name, (bytes) => void bytes.writeUInt16LE(9, at));
      assert.equal(code, 'CAIRN_INCOMPATIBLE', `${name} at ${at}`);
    }
  });

  it('of the manifest count by generation, whichever root has the higher one', async () => {
    for (const root of [0, 32768]) {
      const code = await edited(ssd, 'MANIFEST', (bytes) => {
        bytes.writeBigUInt64LE(bytes.readBigUInt64LE(root + 32) + 5n, root + 32);
      });
      assert.equal(code, undefined);
    }
  });

  it('are refused when a checkpoint does not add up', async () => {
    const trailerOf = (bytes: Buffer): number => {
      let at = PAGE;
      while (bytes.toString('latin1', at, at + 8) !== 'CAIRCKT1') at += PAGE;
      return at;
    };
    const first = PAGE;
    for (const [what, edit] of [
      ['chunks', (bytes: Buffer) => void bytes.writeUInt8(77, trailerOf(bytes) + 24)],
      ['entries', (bytes: Buffer) => void bytes.writeUInt8(77, trailerOf(bytes) + 32)],
      ['bytes', (bytes: Buffer) => void bytes.writeUInt8(77, trailerOf(bytes) + 40)],
      ['the start', (bytes: Buffer) => void bytes.writeUInt8(77, 40)],
      ['the number of a chunk', (bytes: Buffer) => void bytes.writeUInt8(3, first + 16)],
      ['the kind of a chunk', (bytes: Buffer) => void bytes.writeUInt16LE(99, first + 32)],
      ['the size of a chunk', (bytes: Buffer) => void bytes.writeUInt32LE(900_000, first + 12)],
    ] as const) {
      assert.equal(await checkpoint(ssd, edit), 'CAIRN_CORRUPTION', what);
    }
  });

  it('are refused when index entries are not of their group, not in order, or too many', async () => {
    const group = (bytes: Buffer): number => chunkOf(bytes, 1) + 48;
    for (const [what, edit] of [
      ['prefix', (bytes: Buffer) => void bytes.writeUInt32LE(1, group(bytes))],
      ['depth', (bytes: Buffer) => void bytes.writeUInt32LE(33, group(bytes) + 4)],
      ['no entries', (bytes: Buffer) => void bytes.writeUInt32LE(0, group(bytes) + 8)],
      ['entries', (bytes: Buffer) => void bytes.writeUInt32LE(70_000, group(bytes) + 8)],
      ['reserved', (bytes: Buffer) => void bytes.writeUInt32LE(1, group(bytes) + 12)],
      ['no handle', (bytes: Buffer) => bytes.fill(0, group(bytes) + 24, group(bytes) + 32)],
      [
        'the same entry twice',
        (bytes: Buffer) =>
          void bytes.copyWithin(group(bytes) + 32, group(bytes) + 16, group(bytes) + 32),
      ],
      ['half of a group', (bytes: Buffer) => cutChunk(bytes, chunkOf(bytes, 1), 20)],
    ] as const) {
      assert.equal(await checkpoint(ssd, edit), 'CAIRN_CORRUPTION', what);
    }
  });

  it('are refused when a table of index pages names what cannot be', async () => {
    const bucket = (bytes: Buffer): number => chunkOf(bytes, 4) + 48;
    for (const [what, edit] of [
      ['page 0', (bytes: Buffer) => void bytes.writeUInt32LE(0, bucket(bytes))],
      [
        'a page behind the end',
        (bytes: Buffer) => void bytes.writeUInt32LE(1 << 30, bucket(bytes)),
      ],
      [
        'a page twice',
        (bytes: Buffer) =>
          void bytes.copyWithin(bucket(bytes) + 16, bucket(bytes), bucket(bytes) + 4),
      ],
      ['depth', (bytes: Buffer) => void bytes.writeUInt16LE(25, bucket(bytes) + 4)],
      ['another depth', (bytes: Buffer) => void bytes.writeUInt16LE(24, bucket(bytes) + 4)],
      ['entries', (bytes: Buffer) => void bytes.writeUInt16LE(253, bucket(bytes) + 6)],
      [
        'a write number',
        (bytes: Buffer) => bytes.fill(0xff, bucket(bytes) + 8, bucket(bytes) + 16),
      ],
      ['write number 0', (bytes: Buffer) => bytes.fill(0, bucket(bytes) + 8, bucket(bytes) + 16)],
      ['half of a bucket', (bytes: Buffer) => cutChunk(bytes, chunkOf(bytes, 4), 24)],
    ] as const) {
      assert.equal(await checkpoint(pages, edit), 'CAIRN_CORRUPTION', what);
    }
  });

  it('are refused when records of a store in memory have no key or no end', async () => {
    const record = (bytes: Buffer): number => chunkOf(bytes, 2) + 48;
    for (const [what, edit] of [
      ['no key', (bytes: Buffer) => void bytes.writeUInt32LE(0, record(bytes))],
      ['no end', (bytes: Buffer) => void bytes.writeUInt32LE(0xffffffff, record(bytes) + 4)],
      ['pages of an index', (bytes: Buffer) => void bytes.writeUInt16LE(4, chunkOf(bytes, 2) + 32)],
      ['another kind', (bytes: Buffer) => void bytes.writeUInt16LE(9, chunkOf(bytes, 2) + 32)],
    ] as const) {
      assert.equal(await checkpoint(memory, edit), 'CAIRN_CORRUPTION', what);
    }
  });

  it('are refused when the index file is another store’s, cut off or gone', async () => {
    assert.equal(
      await edited(pages, 'index', (bytes) => bytes.fill(7, 16, 32)),
      'CAIRN_CORRUPTION',
    );
    for (const bytes of [Buffer.alloc(100), undefined]) {
      const disk = pages.copy();
      disk.removeFile('index');
      if (bytes !== undefined) disk.writeFile('index', bytes);
      await assert.rejects(openSmall(disk, pages.config), (error) => {
        assert.ok(isCairnError(error, 'CAIRN_CORRUPTION'), String(error));
        assert.equal(error.file, 'index');
        return true;
      });
      disk.release();
    }
  });

  it('are refused when two segments have one number', async () => {
    const [first = '', second = ''] = ssd.fileNames().filter((name) => name.startsWith('log-'));
    const other = ssd.bytesOf(first);
    const code = await edited(ssd, second, (bytes) => void bytes.set(other));
    assert.equal(code, 'CAIRN_CORRUPTION');
  });

  it('of values are refused with a table of classes that is of another allocator or not known', async () => {
    for (const table of [3, 4, 0]) {
      const code = await edited(ssd, 'values', (bytes) => void bytes.writeUInt32LE(table, 32));
      assert.equal(code, table === 0 ? 'CAIRN_CORRUPTION' : 'CAIRN_INCOMPATIBLE');
    }
  });
});
