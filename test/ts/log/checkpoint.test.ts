import assert from 'node:assert/strict';
import type { SimDisk } from '../../../ts/bindings/addon.js';
import { FileSet } from '../../../ts/bindings/file-set.js';
import { isCairnError } from '../../../ts/common/errors.js';
import {
  checkpointFileId,
  checkpointFileName,
  CheckpointReader,
  CheckpointWriter,
  CHUNK_PAYLOAD_MAX,
  type CheckpointSummary,
} from '../../../ts/log/checkpoint.js';
import { offsetsToDamage, STORE_ID } from '../../support/log.js';
import { newSimDisk } from '../../support/sim-disk.js';

const PLACE = { storeId: STORE_ID, id: 0x2a };

function payload(size: number, seed: number): Buffer {
  const bytes = Buffer.alloc(size);
  for (let i = 0; i < size; i++) bytes[i] = (i * 31 + seed) & 255;
  return bytes;
}

async function written(
  sizes: readonly number[],
): Promise<{ disk: SimDisk; summary: CheckpointSummary }> {
  const disk = newSimDisk({});
  const files = FileSet.simulate(disk);
  const writer = await CheckpointWriter.begin(files, PLACE, 99);
  for (const [index, size] of sizes.entries())
    await writer.add(index % 3, payload(size, index), index);
  const summary = await writer.finish();
  await files.dispose();
  return { disk, summary };
}

async function readAll(disk: SimDisk, summary: CheckpointSummary): Promise<Buffer[]> {
  const files = FileSet.simulate(disk);
  const found: Buffer[] = [];
  try {
    for await (const chunk of new CheckpointReader(files, PLACE, summary)) {
      assert.equal(chunk.kind, found.length % 3);
      assert.equal(chunk.entries, found.length);
      found.push(Buffer.from(chunk.payload));
    }
  } finally {
    await files.dispose();
  }
  return found;
}

describe('a checkpoint', () => {
  it('comes back chunk by chunk', async () => {
    const sizes = [
      1,
      4048,
      4049,
      100000,
      CHUNK_PAYLOAD_MAX,
      7,
      ...Array<number>(9).fill(CHUNK_PAYLOAD_MAX),
    ];
    const { disk, summary } = await written(sizes);
    assert.deepEqual(disk.fileNames(), ['checkpoint-2a']);
    const found = await readAll(disk, summary);
    assert.equal(found.length, sizes.length);
    for (const [index, size] of sizes.entries())
      assert.ok(found[index]?.equals(payload(size, index)));
  });

  it('may be empty', async () => {
    const { disk, summary } = await written([]);
    assert.deepEqual(await readAll(disk, summary), []);
  });

  it('refuses flipped bytes with file and offset', async () => {
    const { disk, summary } = await written([5000, 100]);
    const name = checkpointFileName(PLACE.id);
    const size = disk.readFile(name)?.length ?? 0;
    for (const offset of offsetsToDamage(size)) {
      disk.flipBit(name, offset, offset % 8);
      await assert.rejects(readAll(disk, summary), (error) => {
        assert.ok(isCairnError(error, 'CAIRN_CORRUPTION'), String(error));
        assert.equal(error.file, name);
        assert.ok((error.offset as number) <= offset);
        return true;
      });
      disk.flipBit(name, offset, offset % 8);
    }
    assert.equal((await readAll(disk, summary)).length, 2);
  });

  it('refuses a file that is cut off, swapped in part, or not the one named', async () => {
    const { disk, summary } = await written([5000, 5000, 5000]);
    const name = checkpointFileName(PLACE.id);
    const good = Buffer.from(disk.readFile(name) as Uint8Array);
    const refuses = (expected: CheckpointSummary) =>
      assert.rejects(readAll(disk, expected), (error) => isCairnError(error, 'CAIRN_CORRUPTION'));
    for (const size of [0, 100, 4096, 8192, good.length - 4096]) {
      disk.writeFile(name, good.subarray(0, size));
      await refuses(summary);
    }
    disk.writeFile(name, good);
    await refuses({ ...summary, crc: summary.crc ^ 1 });
    await refuses({ ...summary, startSequence: 98 });
    await refuses({ ...summary, bytes: summary.bytes - 4096 });
    disk.swapSectors(name, 4096, 4096 + 8192);
    await refuses(summary);
  });

  it('reports a failed write, and leaves the file when abandoned', async () => {
    const disk = newSimDisk({});
    const files = FileSet.simulate(disk);
    const writer = await CheckpointWriter.begin(files, PLACE, 1);
    disk.inject({ operation: 'write', sticky: true });
    await assert.rejects(
      async () => {
        for (let i = 0; i < 9; i++) await writer.add(0, payload(100, i), 1);
        await writer.finish();
      },
      (error) => isCairnError(error, 'CAIRN_IO'),
    );
    await writer.abandon();
    assert.deepEqual(files.list(), [checkpointFileName(PLACE.id)]);
  });

  it('refuses a chunk without or with too many bytes', async () => {
    const writer = await CheckpointWriter.begin(FileSet.memory(), PLACE, 1);
    for (const size of [0, CHUNK_PAYLOAD_MAX + 1]) {
      await assert.rejects(writer.add(0, Buffer.alloc(size), 1), (error) =>
        isCairnError(error, 'CAIRN_INVALID_ARGUMENT'),
      );
    }
    await writer.abandon();
  });

  describe('that is damaged', () => {
    const name = checkpointFileName(PLACE.id);
    /** Of each chunk of 5000 bytes. */
    const CHUNK = 8192;
    const FIRST = 4096;

    /** The chunks that are left, `-` before one that something may be missing before; and the damage. */
    async function salvaged(
      disk: SimDisk,
      summary: CheckpointSummary,
    ): Promise<{ chunks: string; damage: (number | undefined)[] }> {
      const files = FileSet.simulate(disk);
      const damage: (number | undefined)[] = [];
      let chunks = '';
      try {
        const reader = new CheckpointReader(files, PLACE, summary);
        for await (const { entries, gap, payload: found } of reader.salvage((error) => {
          damage.push(error.offset);
        })) {
          assert.ok(Buffer.from(found).equals(payload(5000, entries)));
          chunks += `${gap ? '-' : ''}${entries}`;
        }
      } finally {
        assert.equal(files.native.inFlight, 0);
        await files.dispose();
      }
      return { chunks, damage };
    }

    it('gives the chunks around the damage, and names it once', async () => {
      const { disk, summary } = await written([5000, 5000, 5000, 5000]);
      assert.deepEqual(await salvaged(disk, summary), { chunks: '0123', damage: [] });
      const end = FIRST + 4 * CHUNK;
      for (const [flipped, chunks, damage] of [
        [[FIRST + 40], '-123', [FIRST]],
        [[FIRST + CHUNK + 5000], '0-23', [FIRST + CHUNK]],
        [[FIRST + 8, FIRST + CHUNK + 100], '-23', [FIRST]],
        [[FIRST + 3 * CHUNK + 1], '012', [FIRST + 3 * CHUNK]],
        [[end + 20], '0123', [end]],
      ] as const) {
        for (const offset of flipped) disk.flipBit(name, offset, 1);
        assert.deepEqual(await salvaged(disk, summary), { chunks, damage });
        for (const offset of flipped) disk.flipBit(name, offset, 1);
      }
    });

    it('gives what is before the place where it is cut off', async () => {
      const { disk, summary } = await written([5000, 5000, 5000]);
      const good = Buffer.from(disk.readFile(name) as Uint8Array);
      for (const [size, chunks] of [
        [FIRST + 2 * CHUNK, '01'],
        [FIRST + 2 * CHUNK + 4096, '01'],
        [FIRST, ''],
        [100, ''],
      ] as const) {
        disk.writeFile(name, good.subarray(0, size));
        const found = await salvaged(disk, summary);
        assert.equal(found.chunks, chunks);
        assert.ok(found.damage.length > 0);
        assert.ok(found.damage.at(-1)! >= Math.min(size, FIRST) - FIRST);
      }
    });

    it('is not taken for gone when the device fails', async () => {
      const { disk, summary } = await written([5000, 5000]);
      for (const operation of ['open', 'read'] as const) {
        for (let nth = 1; nth <= (operation === 'open' ? 1 : 4); nth++) {
          disk.inject({ operation, nth });
          await assert.rejects(salvaged(disk, summary), (error) => {
            assert.ok(isCairnError(error, 'CAIRN_IO'), String(error));
            return true;
          });
        }
      }
      assert.deepEqual(await salvaged(disk, summary), { chunks: '01', damage: [] });
    });
  });

  it('has a name that tells its id', () => {
    assert.equal(checkpointFileId(checkpointFileName(255)), 255);
    assert.equal(checkpointFileId('checkpoint-0ff'), undefined);
    assert.equal(checkpointFileId('log-0001'), undefined);
  });
});
