import { CairnError } from '../common/errors.js';

const HANDLE_END = 2 ** 48;

export function checkHandle(handle: number): void {
  if (!(handle > 0 && handle < HANDLE_END)) {
    throw new CairnError('CAIRN_INVALID_ARGUMENT', `handle ${handle}: not within 1 to 2^48 - 1`);
  }
}

export function checkLength(name: string, length: number, wanted: number): void {
  if (length >= wanted) return;
  throw new CairnError('CAIRN_INVALID_ARGUMENT', `${name}: ${length} places for ${wanted} keys`);
}

export function closedError(): CairnError {
  return new CairnError('CAIRN_CLOSED', 'the index is closed');
}

/** @param cause why there is none; another failure is given back as it is. */
export function noSpaceError(why: string, cause: CairnError | undefined): CairnError {
  if (cause !== undefined && cause.code !== 'CAIRN_NO_SPACE') return cause;
  return new CairnError(
    'CAIRN_NO_SPACE',
    `the index cannot take more keys: ${why}; delete, or free space on the device`,
    { file: 'index', cause },
  );
}
