import { CairnError } from '../common/errors.js';
import { copyBytes } from '../common/units.js';
import {
  FLAG_MORE,
  RECORD_DELETE,
  RECORD_PUT,
  RECORD_PUT_PART,
  RECORD_PUT_REF,
} from '../log/log.js';
import type { Appender } from './appender.js';
import type { StoreParts } from './parts.js';

/** Header and padding of a log record, rounded up. */
const RECORD_OVERHEAD_BYTES = 48;

/** A longer value that the log has to carry goes there in parts, so that any segment holds one. */
export const PART_BYTES = 128 * 1024;

/** One operation of a batch: the value is absent for a delete. */
export interface WriteOperation {
  /** Private copies: they may wait here while the caller goes on. */
  readonly key: Uint8Array;
  readonly value: Uint8Array | undefined;
}

export type PutOperation = WriteOperation & { readonly value: Uint8Array };

/** The codec's key and the value, in memory of their own. */
export function copyOperation({ keys }: StoreParts, value: Uint8Array): PutOperation {
  return { key: copyBytes(keys.bytes, keys.length), value: copyBytes(value) };
}

/** How a batch goes into the log. */
export interface BatchPlan {
  /** Bytes it takes there. */
  readonly logBytes: number;
  /** Its values go to their slots first, the log carries handles. */
  readonly through: boolean;
}

/** @throws CairnError CAIRN_TOO_LARGE. */
export function planBatch(parts: StoreParts, operations: readonly WriteOperation[]): BatchPlan {
  const { log, values } = parts;
  const { persistent, inlineBytesMax } = values.capabilities;
  let valueBytes = 0;
  let keyBytes = 0;
  let largest = 0;
  for (const { key, value } of operations) {
    const parts = Math.max(1, Math.ceil((value?.length ?? 0) / PART_BYTES));
    keyBytes += (key.length + RECORD_OVERHEAD_BYTES) * parts;
    valueBytes += value?.length ?? 0;
    largest = Math.max(largest, value?.length ?? 0);
  }
  const large = largest > inlineBytesMax || keyBytes + valueBytes > log.capacityBytes / 8;
  const through = persistent && large;
  const logBytes = keyBytes + (through ? 0 : valueBytes);
  if (logBytes > log.capacityBytes / 2) {
    throw new CairnError(
      'CAIRN_TOO_LARGE',
      `a batch takes at most ${log.capacityBytes / 2} bytes of the log, this one ${logBytes}: ` +
        'raise log.capacity_bytes, split the batch, or use bulkLoad',
      { operation: 'batch' },
    );
  }
  return { logBytes, through };
}

/**
 * A batch whose values are placed, on its way into the log. Nothing else may be appended before its
 * last record, and the index changes only then: readers see all of it or nothing.
 */
export class OpenBatch {
  readonly #parts: StoreParts;
  readonly #appender: Appender;
  readonly #operations: readonly WriteOperation[];
  readonly #handles: Float64Array;
  readonly #through: boolean;
  readonly #wantSync: boolean;
  /** Deletes only: they may take what the log keeps for them. */
  readonly urgent: boolean;
  #abandoned: unknown;
  #next = 0;
  /** Of the value of operation `#next`, bytes that are in the log as parts. */
  #partBytes = 0;

  constructor(
    parts: StoreParts,
    appender: Appender,
    operations: readonly WriteOperation[],
    handles: Float64Array,
    through: boolean,
    wantSync: boolean,
  ) {
    this.#parts = parts;
    this.#appender = appender;
    this.#operations = operations;
    this.#handles = handles;
    this.#through = through;
    this.#wantSync = wantSync;
    this.urgent = operations.every(({ value }) => value === undefined);
  }

  /** All of it is in the log. */
  get logged(): boolean {
    return this.#next === this.#operations.length;
  }

  /** Why {@link abandon} was called. */
  get abandoned(): unknown {
    return this.#abandoned;
  }

  /** What is in the log of it does not count, and its places are free again. */
  abandon(why: unknown): void {
    if (this.#abandoned !== undefined) return;
    this.#abandoned = why;
    const { log, values } = this.#parts;
    if (this.#next > 0 || this.#partBytes > 0) log.abandonBatch();
    for (const handle of this.#handles) if (handle !== 0) values.discard(handle);
  }

  /** Appends what the log has room for; true when all of it is in the log and in the index. */
  advance(): boolean {
    const operations = this.#operations;
    const { keys } = this.#parts;
    for (; this.#next < operations.length; this.#next++) {
      const { key, value } = operations[this.#next] as WriteOperation;
      keys.encodeStored(key, key.length);
      const flags = this.#next + 1 < operations.length ? FLAG_MORE : 0;
      const handle = this.#handles[this.#next] as number;
      if (!this.#append(flags, handle, value)) return false;
    }
    for (let at = 0; at < operations.length; at++) {
      const { key, value } = operations[at] as WriteOperation;
      keys.encodeStored(key, key.length);
      if (value === undefined) this.#appender.indexDelete();
      else {
        this.#appender.indexPut(this.#handles[at] as number);
        if (this.#through) this.#parts.meters.bytesWritten += value.length;
      }
    }
    this.#parts.meters.batches++;
    return true;
  }

  #append(flags: number, handle: number, value: Uint8Array | undefined): boolean {
    const appender = this.#appender;
    if (value === undefined) {
      return appender.append(RECORD_DELETE, flags, 0, value, this.#wantSync, this.urgent);
    }
    if (this.#through) {
      return appender.append(RECORD_PUT_REF, flags, handle, undefined, this.#wantSync);
    }
    while (value.length - this.#partBytes > PART_BYTES) {
      const part = value.subarray(this.#partBytes, this.#partBytes + PART_BYTES);
      if (!appender.append(RECORD_PUT_PART, FLAG_MORE, 0, part, this.#wantSync)) return false;
      this.#partBytes += PART_BYTES;
    }
    const rest = value.subarray(this.#partBytes);
    if (!appender.append(RECORD_PUT, flags, handle, rest, this.#wantSync)) return false;
    this.#partBytes = 0;
    return true;
  }
}
