import { errnoError } from '../bindings/status.js';
import { CairnError } from '../common/errors.js';
import type { Handle } from './value-store.js';
import { VALUES_FILE } from './values-file.js';

export const ENOSPC = 28;
export const EBADMSG = 74;
export const ENOKEY = 126;
const EDQUOT = 122;
const E2BIG = 7;

/** Byte offset of a slot; native/alloc/allocator.h. */
function offsetOf(handle: Handle): number {
  return Math.floor(handle / 256) * 64;
}

export function readError(result: number, handle: Handle): CairnError {
  if (result === -EBADMSG) return damagedError(handle);
  return errnoError(result, { operation: 'read', file: VALUES_FILE, offset: offsetOf(handle) });
}

export function damagedError(handle: Handle): CairnError {
  const offset = offsetOf(handle);
  return new CairnError(
    'CAIRN_CORRUPTION',
    `${VALUES_FILE}: the record at offset ${offset} does not match its checksum or its key; ` +
      'run `cairn verify` and restore the keys it lists from a copy',
    { operation: 'read', file: VALUES_FILE, offset },
  );
}

export function misplacedError(handle: Handle): CairnError {
  const offset = offsetOf(handle);
  return new CairnError(
    'CAIRN_CORRUPTION',
    `${VALUES_FILE}: the index names offset ${offset}, where no slot can be or the file has ended`,
    { operation: 'open', file: VALUES_FILE, offset },
  );
}

export function placeError(result: number, valueBytes: number): CairnError {
  if (result === -ENOSPC || result === -EDQUOT) {
    return new CairnError(
      'CAIRN_NO_SPACE',
      'no space for the value: delete entries, raise value.ssd_allocator.capacity_bytes or free ' +
        'space on the file system; reads and deletes go on',
      { operation: 'put', file: VALUES_FILE },
    );
  }
  if (result === -E2BIG) {
    return new CairnError('CAIRN_TOO_LARGE', `a value of ${valueBytes} bytes fits no slot`, {
      operation: 'put',
      file: VALUES_FILE,
    });
  }
  return errnoError(result, { operation: 'write', file: VALUES_FILE });
}

/** Whatever the system says of a failed sync, ENOSPC as well: what is on disk is unknown. */
export function syncError(cause: unknown): CairnError {
  return new CairnError(
    'CAIRN_IO',
    `sync ${VALUES_FILE}: the store takes no more writes until it is reopened`,
    { operation: 'sync', file: VALUES_FILE, cause },
  );
}

export function closedError(): CairnError {
  return new CairnError('CAIRN_CLOSED', `${VALUES_FILE} is closed`, { file: VALUES_FILE });
}
