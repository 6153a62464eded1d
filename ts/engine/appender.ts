import { CairnError } from '../common/errors.js';
import { RECORD_PUT_PART, RECORD_PUT_REF } from '../log/log.js';
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
    // Known only now, and not before the record that replaced it was appended.
    parts.index.pages?.onReplaced((old) => parts.values.retire(old, this.#sequence));
  }

  /** Of the last record appended. */
  get sequence(): number {
    return this.#sequence;
  }

  /**
   * False when the log has no room; nothing was done then.
   *
   * @throws CairnError what ended writing, here for all: it may have happened while a write waited
   *   for something else.
   */
  append(
    kind: number,
    flags: number,
    handle: number,
    value: Uint8Array | undefined,
    wantSync: boolean,
    urgent = false,
  ): boolean {
    this.checkWritable();
    const { keys, log, meters } = this.#parts;
    const { bytes, length } = keys;
    const sequence = this.#sequence + 1;
    if (!log.append(kind, flags, handle, bytes, length, value, sequence, wantSync, urgent)) {
      return false;
    }
    this.#sequence = sequence;
    // The parts of a value have one key.
    meters.bytesWritten += (kind === RECORD_PUT_PART ? 0 : length) + (value?.length ?? 0);
    return true;
  }

  /**
   * Appends and indexes the rows `from` to `from + count` of a u64 store, whose values are durable
   * in their slots.
   *
   * @returns how many the log had room for.
   */
  putRows(keys: BigUint64Array, handles: Float64Array, from: number, count: number): number {
    const { index, log, values, meters } = this.#parts;
    this.checkWritable();
    const bytes = new Uint8Array(keys.buffer, keys.byteOffset, keys.byteLength);
    const done = values.capabilities.persistent
      ? log.appendRows(bytes, from, count, handles, this.#sequence + 1)
      : count;
    if (values.capabilities.persistent) this.#sequence += done;
    const old = new Float64Array(done);
    const end = from + done;
    const rows = [keys.subarray(from, end), handles.subarray(from, end), old] as const;
    if (index.pages === undefined) index.bulkPut(...rows);
    else index.pages.putRows(...rows);
    for (const handle of old) if (handle !== 0) this.#replace(handle);
    meters.puts += done;
    return done;
  }

  /** After the append: the index names the new record, the old one retires. */
  indexPut(handle: number): void {
    const { keys, index, values, meters } = this.#parts;
    const old = (index.pages ?? index).put(keys.hash, handle);
    if (old !== 0) values.retire(old, this.#sequence);
    meters.puts++;
  }

  /**
   * The record of the codec's key, which was at `from`, is durable at `to` as well: the log and the
   * index name the new place, if the index still names the old one. All in one turn.
   *
   * @returns whether they do; undefined when the log has no room, and nothing was done.
   */
  move(from: number, to: number): boolean | undefined {
    const { keys, index, log, values } = this.#parts;
    if ((index.pages ?? index).get(keys.hash) !== from) return false;
    const sequence = this.#sequence + 1;
    if (!log.append(RECORD_PUT_REF, 0, to, keys.bytes, keys.length, undefined, sequence, false)) {
      return undefined;
    }
    this.#sequence = sequence;
    (index.pages ?? index).put(keys.hash, to);
    values.retire(from, sequence);
    return true;
  }

  /** The index names a record that was placed by a load, which has a log record if it is persistent. */
  indexLoaded(handle: number): void {
    const { keys, index, values, meters } = this.#parts;
    const old = (index.pages ?? index).put(keys.hash, handle);
    if (old !== 0) this.#replace(old);
    meters.puts++;
    // Where there is a log record the key was counted with it.
    if (!values.capabilities.persistent) meters.bytesWritten += keys.length;
  }

  /** No log record follows a load into memory that the old slot could wait for. */
  #replace(old: number): void {
    const { values } = this.#parts;
    if (values.capabilities.persistent) values.retire(old, this.#sequence);
    else values.discard(old);
  }

  /** After the append: the key is gone, its record retires. False when it was not there. */
  indexDelete(): boolean {
    const { keys, index, values, meters } = this.#parts;
    const old = index.pages === undefined ? index.delete(keys.hash) : index.pages.put(keys.hash, 0);
    if (old === 0) return false;
    values.retire(old, this.#sequence);
    meters.deletes++;
    return true;
  }

  /** @throws CairnError what ended writing, or CAIRN_TOO_LARGE. */
  checkValue(value: Uint8Array): void {
    this.checkWritable();
    const { valueBytesMax } = this.#parts.values.capabilities;
    if (value.length <= valueBytesMax) return;
    throw new CairnError(
      'CAIRN_TOO_LARGE',
      `a value has at most ${valueBytesMax} bytes, this one ${value.length}`,
    );
  }

  checkWritable(): void {
    if (this.failure !== undefined) throw this.failure;
  }
}
