import { constants } from 'node:os';
import { CairnError, type ErrorCode } from '../common/errors.js';
import { addon } from './addon.js';

/** A status of native/base/status.h. */
export interface NativeStatus {
  readonly code: number;
  /** 0 when no system call failed. */
  readonly errno: number;
  readonly operation: string;
  readonly file: string;
  readonly offset: number;
}

/** The names of StatusCode; their numbers come from the addon. */
export const STATUS_NAMES = [
  'kOk',
  'kNotFound',
  'kNoSpace',
  'kRetry',
  'kCorruption',
  'kIo',
  'kClosed',
  'kInvalid',
  'kUnsupported',
  'kLocked',
] as const;

export type StatusName = (typeof STATUS_NAMES)[number];

/** Where something failed, as far as it is known. */
export interface FailureDetails {
  readonly operation: string;
  readonly file?: string | undefined;
  readonly offset?: number | undefined;
}

const CODE_OF_STATUS: Readonly<Record<StatusName, ErrorCode>> = {
  kOk: 'CAIRN_IO',
  kNotFound: 'CAIRN_NOT_FOUND',
  kNoSpace: 'CAIRN_NO_SPACE',
  kRetry: 'CAIRN_IO',
  kCorruption: 'CAIRN_CORRUPTION',
  kIo: 'CAIRN_IO',
  kClosed: 'CAIRN_CLOSED',
  kInvalid: 'CAIRN_INVALID_ARGUMENT',
  kUnsupported: 'CAIRN_UNSUPPORTED',
  kLocked: 'CAIRN_LOCKED',
};

const ERRNO_NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(constants.errno).map(([name, number]) => [number, name]),
);

/** `ENOSPC` for 28. */
export function errnoName(errno: number): string {
  return ERRNO_NAMES.get(errno) ?? `errno ${errno}`;
}

export function statusName(status: NativeStatus): StatusName {
  const codes = addon().statusCodes;
  return STATUS_NAMES.find((name) => codes[name] === status.code) ?? 'kIo';
}

/** The failure of an operation that answered -errno. */
export function errnoError(result: number, details: FailureDetails): CairnError {
  const name = errnoName(-result);
  const { operation, file, offset } = details;
  const place =
    (file === undefined ? '' : ` ${file}`) + (offset === undefined ? '' : ` at ${offset}`);
  return new CairnError(codeOfErrno(name), `${operation}${place}: ${explain(name)}`, {
    operation,
    file,
    offset,
    cause: { errno: name },
  });
}

/** The failure that a native status describes. */
export function statusError(status: NativeStatus): CairnError {
  const name = statusName(status);
  const errno = status.errno === 0 ? undefined : errnoName(status.errno);
  const reason = errno === undefined ? name : explain(errno);
  const message =
    name === 'kLocked'
      ? `the store is in use: ${status.file}; close it there, or raise lock_timeout_ms`
      : `${status.operation}${status.file === '' ? '' : ` ${status.file}`}: ${reason}`;
  return new CairnError(CODE_OF_STATUS[name], message, {
    operation: status.operation,
    // Of a lock the status says who holds it as well.
    file: status.file === '' ? undefined : status.file.replace(/ \(held by [a-z0-9 ]+\)$/, ''),
    cause: errno === undefined ? undefined : { errno },
  });
}

function codeOfErrno(name: string): ErrorCode {
  switch (name) {
    case 'ENOENT':
      return 'CAIRN_NOT_FOUND';
    case 'EEXIST':
      return 'CAIRN_EXISTS';
    case 'ENOSPC':
    case 'EDQUOT':
    case 'EFBIG':
      return 'CAIRN_NO_SPACE';
    case 'ENODATA':
    case 'EBADMSG':
      return 'CAIRN_CORRUPTION';
    case 'EROFS':
      return 'CAIRN_READ_ONLY';
    case 'EINVAL':
      return 'CAIRN_INVALID_ARGUMENT';
    case 'E2BIG':
      return 'CAIRN_TOO_LARGE';
    case 'EBADF':
    case 'ECANCELED':
      return 'CAIRN_CLOSED';
    case 'EOPNOTSUPP':
    case 'ENOTSUP':
    case 'ENOSYS':
      return 'CAIRN_UNSUPPORTED';
    default:
      return 'CAIRN_IO';
  }
}

function explain(name: string): string {
  switch (name) {
    case 'ENODATA':
      return 'the file ends before the bytes asked for (ENODATA)';
    case 'ENOSPC':
      return 'no space left on the device (ENOSPC)';
    case 'EDQUOT':
      return 'the disk quota is used up (EDQUOT)';
    case 'EIO':
      return 'the device reports an error (EIO)';
    case 'EROFS':
      return 'opened read-only (EROFS)';
    case 'ELOOP':
      return 'it is a symbolic link, which a store does not follow (ELOOP)';
    case 'ENXIO':
      return 'it is no regular file (ENXIO)';
    case 'EPERM':
      return 'it belongs to another user, or others may write to it (EPERM)';
    default:
      return name;
  }
}
