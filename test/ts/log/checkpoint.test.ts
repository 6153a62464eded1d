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

  it('has a name that tells its id', () => {
    assert.equal(checkpointFileId(checkpointFileName(255)), 255);
    assert.equal(checkpointFileId('checkpoint-0ff'), undefined);
    assert.equal(checkpointFileId('log-0001'), undefined);
  });
});
