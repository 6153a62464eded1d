import assert from 'node:assert/strict';
import { chmodSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { NativeMemorySlotsOptions } from '../../../ts/bindings/memory-slots.js';
import { isCairnError, type ErrorCode } from '../../../ts/common/errors.js';
import { openMemorySlots, poolFileName } from '../../../ts/value-store/memory-pool.js';
import { withDirectory, withSharedMemory } from '../../support/stores.js';

const TMPFS_MAGIC = 0x01021994;
const OPTIONS = { capacityBytes: 0, allocator: 'PERSIST_LOOP_SLAB' } as NativeMemorySlotsOptions;
const storeId = Buffer.alloc(16, 7);

function refused(directory: string, code: ErrorCode, options = OPTIONS): void {
  assert.throws(
    () => openMemorySlots(options, { directory, storeId }),
    (error) => {
      assert.ok(isCairnError(error, code), String(error));
      assert.ok(error.message.includes("value.path ''"), error.message);
      assert.ok(error.cause instanceof Error);
      return true;
    },
  );
}

describe('a pool file', () => {
  it('is refused on a disk, and below what is no directory', () =>
    withDirectory(async (directory) => {
      const onDisk = statfsSync(directory).type !== TMPFS_MAGIC;
      if (onDisk) refused(join(directory, 'pools'), 'CAIRN_UNSUPPORTED');
      writeFileSync(join(directory, 'file'), '');
      refused(join(directory, 'file', 'pools'), 'CAIRN_IO');
    }));

  it('is refused with the code that the addon has for it', function () {
    return withSharedMemory(this, async (shared) => {
      refused(shared, 'CAIRN_INVALID_ARGUMENT', { ...OPTIONS, allocator: 'NONE' });
      const { slots } = openMemorySlots(OPTIONS, { directory: shared, storeId });
      refused(shared, 'CAIRN_LOCKED');
      slots.close();
    });
  });

  it('is refused when somebody else may write to it', function () {
    return withSharedMemory(this, async (shared) => {
      const path = join(shared, poolFileName(storeId));
      writeFileSync(path, '');
      chmodSync(path, 0o622);
      refused(shared, 'CAIRN_IO');
      chmodSync(path, 0o600);
      openMemorySlots(OPTIONS, { directory: shared, storeId }).slots.close();
    });
  });
});
