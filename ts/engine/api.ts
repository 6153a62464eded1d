import type { IndexPagesStats } from '../index/index.js';
import type { ValueStoreStats } from '../value-store/value-store.js';

/** `bytes` stores take strings (UTF-8) and byte arrays, `u64` stores integers of 0 to 2^64 - 1. */
export type Key = string | Uint8Array | number | bigint;
/** Strings are stored as UTF-8. */
export type Value = string | Uint8Array;
/** As iteration yields it: Buffer (or string, see {@link IterateOptions}) for `bytes`, bigint for `u64`. */
export type StoredKey = Buffer | string | bigint;

/**
 * What an acknowledgement means: `sync` survives power loss, `interval` does after at most
 * `interval_ms`, `process` survives the end of the process, `none` is only accepted.
 *
 * @see docs/DURABILITY.md
 */
export type DurabilityLevel = 'sync' | 'interval' | 'process' | 'none';

export interface CallOptions {
  /**
   * Rejects with CAIRN_ABORTED. A write that was already handed to the log is done all the same; a
   * synchronous call throws when it has fired before.
   */
  readonly signal?: AbortSignal;
}
export interface WriteOptions extends CallOptions {
  /** Overrides the store's level for this write. */
  readonly durability?: DurabilityLevel;
}
export interface IterateOptions extends CallOptions {
  /** `buffer` (default) or `utf8`: how keys of a `bytes` store are given. */
  readonly keyEncoding?: 'buffer' | 'utf8';
}
export type BatchOperation =
  | { readonly type: 'put'; readonly key: Key; readonly value: Value }
  | { readonly type: 'delete'; readonly key: Key };

/** Fixed rows for u64 stores: row i belongs to keys[i]. */
export interface RowSource {
  readonly keys: BigUint64Array;
  readonly rows: Uint8Array | Float32Array;
  readonly rowBytes: number;
}
export type LoadSource =
  AsyncIterable<readonly [Key, Value]> | Iterable<readonly [Key, Value]> | RowSource;
export interface LoadProgress {
  readonly entries: number;
  readonly bytes: number;
}
export interface LoadOptions extends CallOptions {
  /** Called now and then, at most a few times a second and once at the end. */
  readonly progress?: (progress: LoadProgress) => void;
}
export interface GatherResult {
  readonly missing: number;
  /** Ascending positions in `keys`; their rows are zeros. */
  readonly missingIndexes: Uint32Array;
}

/** Latencies in microseconds of one operation in eight, from log-linear buckets 6 % wide. */
export interface LatencySummary {
  readonly count: number;
  readonly mean: number;
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

export interface StoreStats {
  readonly path: string;
  /** As `index.entries`. */
  readonly entries: number;
  /** 'IOURING' | 'POSIX' | ... and what the host refused. */
  readonly io: {
    readonly backend: string;
    readonly direct: boolean;
    readonly degraded: readonly string[];
  };
  readonly operations: {
    readonly gets: number;
    readonly hits: number;
    readonly puts: number;
    readonly deletes: number;
    readonly batches: number;
    /** Of values. */
    readonly bytesRead: number;
    /** Of keys and values; a delete has a key. */
    readonly bytesWritten: number;
  };
  readonly latency: {
    readonly get: LatencySummary;
    readonly put: LatencySummary;
    readonly delete: LatencySummary;
  };
  /** With what an index on the device reads and writes beside. */
  readonly index: {
    readonly type: string;
    /** Keys; those of changes that wait for their pages (`pendingChanges`) count as new ones. */
    readonly entries: number;
    readonly memoryBytes: number;
  } & Partial<IndexPagesStats>;
  readonly values: ValueStoreStats;
  readonly log: {
    readonly appendedSequence: number;
    readonly durableSequence: number;
    readonly liveBytes: number;
    readonly bytesWritten: number;
    readonly groups: number;
    readonly syncs: number;
  };
  readonly checkpoint: {
    readonly count: number;
    readonly bytes: number;
    readonly sequence: number;
  };
  readonly recovery: {
    readonly records: number;
    readonly milliseconds: number;
    readonly tornTail: boolean;
  };
}

/** An open store. Every rejection is a CairnError. */
export interface Store {
  readonly path: string;
  /** Keys present. */
  readonly size: number;
  /** Writes up to this sequence number survive power loss. */
  readonly durableSequence: number;

  put(key: Key, value: Value, options?: WriteOptions): Promise<void>;
  putSync(key: Key, value: Value, options?: WriteOptions): void;
  /**
   * The value, yours to change; undefined when the key is absent. As of `Buffer.from`, values of up
   * to 16 KiB may lie in one `ArrayBuffer`, which cannot be transferred: copy what you keep for long.
   */
  get(key: Key, options?: CallOptions): Promise<Buffer | undefined>;
  getSync(key: Key): Buffer | undefined;
  has(key: Key, options?: CallOptions): Promise<boolean>;
  hasSync(key: Key): boolean;
  /** @returns was it there. */
  delete(key: Key, options?: WriteOptions): Promise<boolean>;
  deleteSync(key: Key, options?: WriteOptions): boolean;
  batchGet(
    keys: readonly Key[] | BigUint64Array,
    options?: CallOptions,
  ): Promise<(Buffer | undefined)[]>;
  batchPut(
    keys: readonly Key[] | BigUint64Array,
    values: readonly Value[],
    options?: WriteOptions,
  ): Promise<void>;
  batch(operations: readonly BatchOperation[], options?: WriteOptions): Promise<void>;
  /**
   * A value that has not `rowBytes` bytes counts as missing. With a signal that fires it rejects when
   * nothing is written to `rows` any more.
   */
  batchGetInto(
    keys: BigUint64Array,
    rows: Uint8Array | Float32Array,
    rowBytes: number,
    options?: CallOptions,
  ): Promise<GatherResult>;
  /**
   * What `source` throws ends the load with CAIRN_ABORTED and is its cause; a prefix of the load may
   * be there then. An asynchronous source that is waited for when the signal fires is told to return.
   */
  bulkLoad(source: LoadSource, options?: LoadOptions): Promise<LoadProgress>;
  entries(options?: IterateOptions): AsyncIterableIterator<[StoredKey, Buffer]>;
  keys(options?: IterateOptions): AsyncIterableIterator<StoredKey>;
  values(options?: CallOptions): AsyncIterableIterator<Buffer>;
  stats(): StoreStats;
  /** Makes everything acknowledged before it durable. */
  flush(options?: CallOptions): Promise<void>;
  /** Writes the index out and lets go of the log before it. */
  checkpoint(options?: CallOptions): Promise<void>;
  /**
   * Copies the store, as it is at one sequence number, to another directory, while it is read and
   * written. The copy is a store of its own; it is durable when the promise resolves, and no store
   * before that. Every record is checked on its way.
   *
   * @param path a new or an empty directory.
   * @throws CairnError CAIRN_EXISTS, CAIRN_CORRUPTION, CAIRN_NO_SPACE, CAIRN_IO, CAIRN_UNSUPPORTED.
   * @see docs/DURABILITY.md "Backups"
   */
  backup(path: string, options?: BackupOptions): Promise<BackupReport>;
  /** Reads and checks every record. */
  verify(options?: VerifyOptions): Promise<VerifyReport>;
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface BackupProgress {
  readonly bytes: number;
  /** An estimate until the last call. */
  readonly totalBytes: number;
}
export interface BackupOptions extends CallOptions {
  /** Called now and then, at most a few times a second and once at the end. */
  readonly progress?: (progress: BackupProgress) => void;
  /**
   * Copies records that do not check as they are and lists them, instead of failing: to save what is
   * left of a damaged store.
   *
   * @default false
   */
  readonly keepDamaged?: boolean;
}
export interface BackupReport {
  /** The copy has every write up to this sequence number, and none after. */
  readonly sequence: number;
  /** Written to it. */
  readonly bytes: number;
  /** With `keepDamaged`. At most 1000 are listed; `damagedCount` counts all. */
  readonly damaged: VerifyReport['damaged'];
  readonly damagedCount: number;
}

export interface VerifyOptions extends CallOptions {
  readonly progress?: (done: number, total: number) => void;
}
export interface VerifyReport {
  readonly records: number;
  readonly bytes: number;
  /** At most 1000 are listed; `damagedCount` counts all. */
  readonly damaged: readonly {
    readonly file: string;
    readonly offset: number;
    readonly reason: string;
  }[];
  readonly damagedCount: number;
}
