import assert from 'node:assert/strict';
import type { SimDisk } from '../../../ts/bindings/addon.js';
import { FileSet } from '../../../ts/bindings/file-set.js';
import { isCairnError } from '../../../ts/common/errors.js';
import { checkpointFileName } from '../../../ts/log/checkpoint.js';
import { CheckpointReserve, NAME_FILE, RESERVE_FILE } from '../../../ts/log/checkpoint-reserve.js';
import { newSimDisk } from '../../support/sim-disk.js';

const IN_FORCE = 'checkpoint-7';
const MIB = 1024 * 1024;

async function withReserve(
  inForce: number,
  use: (reserve: CheckpointReserve, bytesOf: (name: string) => number, disk: SimDisk) => unknown,
): Promise<void> {
  const disk = newSimDisk({});
  if (inForce !== 0) disk.writeFile(IN_FORCE, Buffer.alloc(8192));
  const files = FileSet.simulate(disk);
  const reserve = await CheckpointReserve.open(files, () => inForce);
  try {
    await use(reserve, (name) => disk.readFile(name)?.length ?? 0, disk);
  } finally {
    await reserve.close();
    await files.dispose();
    disk.release();
  }
}

describe('the space for the next checkpoint', () => {
  it('is held in both files, blocking or not, and never less than before', async () => {
    for (const inForce of [0, 7]) {
      await withReserve(inForce, async (reserve, bytesOf) => {
        reserve.holdSync(10_000);
        assert.equal(bytesOf(RESERVE_FILE), 12_288);
        assert.equal(bytesOf(checkpointFileName(inForce)), 12_288);
        reserve.holdSync(5000);
        assert.equal(bytesOf(RESERVE_FILE), 12_288);
        await reserve.hold(20_000);
        reserve.holdSync(30_000);
        assert.equal(bytesOf(RESERVE_FILE), 32_768);
        assert.equal(bytesOf(checkpointFileName(inForce)), 32_768);
      });
    }
  });

  it('goes back to the file system when it is far more than is needed', () =>
    withReserve(0, async (reserve, bytesOf) => {
      await reserve.hold(40 * MIB);
      await reserve.hold(20 * MIB);
      assert.equal(bytesOf(RESERVE_FILE), 40 * MIB);
      await reserve.hold(MIB);
      assert.equal(bytesOf(RESERVE_FILE), MIB);
    }));

  it('is not held while a checkpoint is written over it, whose end asks again', () =>
    withReserve(0, async (reserve, bytesOf) => {
      await reserve.hold(8192);
      await reserve.take(9);
      assert.equal(bytesOf('checkpoint-9'), 8192);
      reserve.holdSync(8192);
      await reserve.hold(8192);
      assert.equal(bytesOf(RESERVE_FILE), 0);
      await reserve.put(9);
      assert.equal(bytesOf(RESERVE_FILE), 8192);
      reserve.holdSync(16_384);
      assert.equal(bytesOf(RESERVE_FILE), 16_384);
    }));

  it('is there for the second checkpoint as well when the device is full before the first', () =>
    withReserve(0, async (reserve, bytesOf) => {
      await reserve.hold(8192);
      await reserve.take(1);
      await reserve.put(0);
      assert.deepEqual([bytesOf('checkpoint-1'), bytesOf(RESERVE_FILE)], [8192, 8192]);
      assert.equal(bytesOf('checkpoint-0'), 0);
    }));

  it('gives up a name where a directory has no room for another one, and makes it again', () =>
    withReserve(7, async (reserve, bytesOf, disk) => {
      // Symptom: deletes and checkpoints were refused for good on an XFS without a free block.
      // Cause: the new name of RESERVE did not fit into the inode of the directory beside the old one.
      // Fix: a name that nobody needs goes first.
      const isNamed = (): boolean => disk.readFile(NAME_FILE) !== undefined;
      await reserve.hold(8192);
      assert.equal(isNamed(), true);
      for (const id of [9, 10]) {
        disk.inject({ operation: 'rename', nth: 1, errno: 'ENOSPC' });
        await reserve.take(id);
        assert.deepEqual([bytesOf(checkpointFileName(id)), isNamed()], [8192, false]);
        await reserve.put(id);
        await reserve.hold(8192);
        assert.deepEqual([bytesOf(RESERVE_FILE), isNamed()], [8192, true]);
      }
      disk.inject({ operation: 'rename', nth: 1, errno: 'ENOSPC', sticky: true });
      await assert.rejects(reserve.take(11), (error) => isCairnError(error, 'CAIRN_NO_SPACE'));
      assert.equal(bytesOf(RESERVE_FILE), 8192);
    }));

  it('is held by a blocking call while its file is being opened', () =>
    withReserve(7, async (reserve, bytesOf, disk) => {
      const held = reserve.hold(8192);
      await Promise.resolve();
      reserve.holdSync(12_288);
      assert.equal(bytesOf(RESERVE_FILE), 12_288);
      await held;
      await reserve.hold(16_384);
      assert.deepEqual([bytesOf(RESERVE_FILE), bytesOf(IN_FORCE)], [16_384, 16_384]);
      assert.deepEqual(disk.hazards(), []);
    }));

  it('is as it was when there is no more', () =>
    withReserve(7, async (reserve, bytesOf, disk) => {
      reserve.holdSync(8192);
      for (const hold of [() => reserve.hold(MIB), async () => reserve.holdSync(MIB)]) {
        disk.inject({ operation: 'grow', nth: 1, errno: 'ENOSPC' });
        await assert.rejects(hold, (error) => isCairnError(error, 'CAIRN_NO_SPACE'));
        assert.equal(bytesOf(RESERVE_FILE), 8192);
      }
      reserve.holdSync(MIB);
      assert.equal(bytesOf(RESERVE_FILE), MIB);
    }));
});
