import type { CairnError } from '../common/errors.js';
import type { StoreParts } from './parts.js';

/**
 * The one place that gives out sequence numbers: appends records to the log and keeps the index and
 * the slots in step with it. The key is the one that the codec holds.
 */
export class Appender {
  readonly #parts: StoreParts;
  #sequence: number;
  /** Why writing ended; see {@link WritePath.fail}. */
  failure: CairnError | undefined;

  constructor(parts: StoreParts) {
    this.#parts = parts;
    this.#sequence = parts.log.firstSequence - 1;
  }

  /** Of the last record appended. */
  get sequence(): number {
    return this.#sequence;
  }

  /** False when the log has no room; nothing was done then. @throws CairnError. */
  append(
    kind: number,
    flags: number,
    handle: number,
    value: Uint8Array | undefined,
    wantSync: boolean,
  ): boolean {
    const { keys, log, meters } = this.#parts;
    const sequence = this.#sequence + 1;
    if (!log.append(kind, flags, handle, keys.bytes, keys.length, value, sequence, wantSync)) {
      return false;
    }
    this.#sequence = sequence;
    meters.bytesWritten += keys.length + (value?.length ?? 0);
    return true;
  }

  /** After the append: the index names the new record, the old one retires. */
  indexPut(handle: number): void {
    const { keys, index, values, meters } = this.#parts;
    const old = index.put(keys.hash, handle);
    if (old !== 0) values.retire(old, this.#sequence);
    meters.puts++;
  }

  /** After the append: the key is gone, its record retires. False when it was not there. */
  indexDelete(): boolean {
    const { keys, index, values, meters } = this.#parts;
    const old = index.delete(keys.hash);
    if (old === 0) return false;
    values.retire(old, this.#sequence);
    meters.deletes++;
    return true;
  }

  checkWritable(): void {
    if (this.failure !== undefined) throw this.failure;
  }
}
