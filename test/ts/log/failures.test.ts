import assert from 'node:assert/strict';
import type { SimDisk, SimFault } from '../../../ts/bindings/addon.js';
import { FileSet } from '../../../ts/bindings/file-set.js';
import { isCairnError, type ErrorCode } from '../../../ts/common/errors.js';
import { CheckpointReader, CheckpointWriter } from '../../../ts/log/checkpoint.js';
import { ManifestFile } from '../../../ts/log/manifest.js';
import { prepareSegmentFile, prepareSegmentFileSync } from '../../../ts/log/segment-files.js';
import { STORE_ID } from '../../support/log.js';
import { newSimDisk } from '../../support/sim-disk.js';

const PLACE = { storeId: STORE_ID, id: 5 };
const MIB = 1024 * 1024;

async function rejects(run: () => unknown, code: ErrorCode): Promise<void> {
  await assert.rejects(
    async () => run(),
    (error) => {
      assert.ok(isCairnError(error, code), String(error));
      return true;
    },
  );
}

/** Each operation of that kind fails, one after the other, until the step goes through. */
async function untilItSucceeds(
  operation: SimFault['operation'],
  step: (files: FileSet, disk: SimDisk) => unknown,
): Promise<number> {
  for (let nth = 1; ; nth++) {
    const disk = newSimDisk({});
    const files = FileSet.simulate(disk);
    disk.inject({ operation, nth });
    try {
      await step(files, disk);
      return nth - 1;
    } catch (error) {
      assert.ok(isCairnError(error, 'CAIRN_IO'), String(error));
      assert.equal(files.native.inFlight, 0);
    } finally {
      await files.dispose();
      disk.release();
    }
  }
}

describe('files of the log whose operations fail', () => {
  for (const operation of ['open', 'write', 'sync', 'rename', 'syncDirectory'] as const) {
    it(`give the error when a new manifest meets it: ${operation}`, async () => {
      const failed = await untilItSucceeds(operation, async (files) => {
        const manifest = await ManifestFile.create(files, {
          storeId: STORE_ID,
          hashKey: Buffer.alloc(16),
          durableSequence: 0,
          checkpointId: 0,
          checkpointBytes: 0,
          checkpointCrc: 0,
          startSequence: 0,
          firstSegmentId: 1,
          clean: false,
          config: '{}',
          entries: [],
        });
        manifest.close();
      });
      assert.ok(failed > 0);
    });
  }

  for (const operation of ['open', 'write', 'sync', 'syncDirectory'] as const) {
    it(`give the error when a segment is prepared, in both forms: ${operation}`, async () => {
      const prepare = async (files: FileSet): Promise<void> => {
        const file = await prepareSegmentFile(files, 'log-0000', 2 * MIB);
        files.close(file);
      };
      assert.ok((await untilItSucceeds(operation, prepare)) > 0);
      const prepareSync = (files: FileSet): void =>
        files.close(prepareSegmentFileSync(files, 'log-0000', 2 * MIB));
      assert.ok((await untilItSucceeds(operation, prepareSync)) > 0);
    });
  }

  for (const operation of ['open', 'write', 'sync'] as const) {
    it(`give the error when a checkpoint is written: ${operation}`, async () => {
      const failed = await untilItSucceeds(operation, async (files) => {
        const writer = await CheckpointWriter.begin(files, PLACE, 1);
        try {
          // More than are in flight at once, so that an error shows before the end, too.
          for (let at = 0; at < 12; at++) await writer.add(1, Buffer.alloc(MIB, at), 1);
          await writer.finish();
        } catch (error) {
          await writer.abandon();
          throw error;
        }
      });
      assert.ok(failed > 0);
    });
  }

  it('tell of the first error when every write fails', async () => {
    const disk = newSimDisk({});
    const files = FileSet.simulate(disk);
    const writer = await CheckpointWriter.begin(files, PLACE, 1);
    disk.inject({ operation: 'write', sticky: true });
    await rejects(async () => {
      for (let at = 0; at < 40; at++) await writer.add(1, Buffer.alloc(100), 1);
    }, 'CAIRN_IO');
    await rejects(() => writer.finish(), 'CAIRN_IO');
    await writer.abandon();
  });

  it('are refused as a checkpoint of a size that none has', async () => {
    const files = FileSet.simulate(newSimDisk({}));
    const writer = await CheckpointWriter.begin(files, PLACE, 1);
    await writer.add(1, Buffer.alloc(100), 1);
    const summary = await writer.finish();
    for (const bytes of [0, 4096, summary.bytes - 1, summary.bytes + 4096]) {
      await rejects(async () => {
        for await (const chunk of new CheckpointReader(files, PLACE, { ...summary, bytes }))
          assert.fail(`a chunk of kind ${chunk.kind}`);
      }, 'CAIRN_CORRUPTION');
    }
  });
});
