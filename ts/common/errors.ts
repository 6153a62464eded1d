/**
 * Every way in which cairn says no. Decide by the code, never by the message.
 *
 * @see docs/ERRORS.md
 */
export type ErrorCode =
  | 'CAIRN_INVALID_CONFIG'
  | 'CAIRN_INVALID_ARGUMENT'
  | 'CAIRN_INVALID_KEY'
  | 'CAIRN_INVALID_VALUE'
  /** A known name or feature that this version does not have. */
  | 'CAIRN_UNSUPPORTED'
  | 'CAIRN_NO_SPACE'
  | 'CAIRN_IO'
  /** Bytes on disk are not what was written there. */
  | 'CAIRN_CORRUPTION'
  /** Another process, or this one, has the store open. */
  | 'CAIRN_LOCKED'
  | 'CAIRN_CLOSED'
  | 'CAIRN_READ_ONLY'
  /** There is no store at the path. */
  | 'CAIRN_NOT_FOUND'
  /** There is a store at the path, and `error_if_exists` is set; or the target of a backup is in use. */
  | 'CAIRN_EXISTS'
  | 'CAIRN_ABORTED'
  /** The configuration or the format does not match what is on disk. */
  | 'CAIRN_INCOMPATIBLE'
  | 'CAIRN_ADDON_MISSING'
  | 'CAIRN_TOO_LARGE';

/** One thing wrong with a configuration. All fields are text for people except `path`. */
export interface ConfigProblem {
  /** As it is written in the document: `value.ssd_allocator.size_classes[2]`; empty for the whole. */
  readonly path: string;
  /** What stands there. */
  readonly given: string;
  /** What may stand there. */
  readonly allowed: string;
  /** The nearest name that exists, when the given one looks like a misspelling of it. */
  readonly suggestion?: string;
}

export interface ErrorDetails {
  /** What was attempted: `open`, `put`, `read`, ... */
  readonly operation?: string | undefined;
  /** Name of the file inside the store, or its path. */
  readonly file?: string | undefined;
  /** Byte offset in `file`. */
  readonly offset?: number | undefined;
  /** CAIRN_INVALID_CONFIG: every problem found. */
  readonly problems?: readonly ConfigProblem[] | undefined;
  readonly cause?: unknown;
}

/** The only error class of this package. */
export class CairnError extends Error {
  override readonly name = 'CairnError';
  readonly code: ErrorCode;
  // `declare`: a detail that is not known has no property, so a printed error shows only what is.
  declare readonly operation?: string;
  declare readonly file?: string;
  declare readonly offset?: number;
  declare readonly problems?: readonly ConfigProblem[];

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    if (details.operation !== undefined) this.operation = details.operation;
    if (details.file !== undefined) this.file = details.file;
    if (details.offset !== undefined) this.offset = details.offset;
    if (details.problems !== undefined) this.problems = details.problems;
  }
}

export function isCairnError(error: unknown, code?: ErrorCode): error is CairnError {
  return error instanceof CairnError && (code === undefined || error.code === code);
}

/** What was thrown, as an Error: a promise is rejected with nothing else. */
export function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}

/** Takes damage that is gone without, instead of its being thrown. */
export type OnDamage = (damage: CairnError) => void;
