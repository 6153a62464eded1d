import { CairnError } from '../common/errors.js';
import { copyBytes } from '../common/units.js';
import { UNREAD, type IndexPages } from '../index/index.js';
import { PENDING } from '../value-store/value-store.js';
import { readWindowed, type WantedRecords } from '../value-store/windowed-reads.js';
import type { GatherResult, Key } from './api.js';
import { FarLookups } from './far-lookups.js';
import { usingHandle } from './page-room.js';
import type { StoreParts } from './parts.js';

const MISS: Promise<undefined> = Promise.resolve(undefined);
const NONE = new Uint32Array(0);

/**
 * Gets. A key that is absent, or a value that is in memory, is answered within the call; only a
 * value on the device takes a turn.
 */
export class ReadPath {
  readonly #parts: StoreParts;
  readonly #settled: (value: Buffer | undefined) => void;
  /** Only where the index is on the device. */
  readonly #far: FarLookups | undefined;
  #handles = new Float64Array(0);
  #absent = new Uint32Array(0);

  constructor(parts: StoreParts) {
    this.#parts = parts;
    if (parts.index.pages !== undefined) this.#far = new FarLookups(parts, parts.index.pages);
    this.#settled = (value) => void this.#count(value);
  }

  get(key: Key): Promise<Buffer | undefined> {
    const { keys, index, values, meters } = this.#parts;
    const started = meters.get.start();
    meters.gets++;
    keys.encode(key);
    if (index.pages !== undefined) return this.#getFar(started);
    const handle = index.get(keys.hash);
    if (handle === 0) {
      meters.get.stop(started);
      return MISS;
    }
    // Counting and the clock without a promise of their own: they cost a tenth of a cold get.
    const settled =
      started === 0
        ? this.#settled
        : (value: Buffer | undefined): void => {
            meters.get.stop(started);
            this.#count(value);
          };
    return values.read(handle, keys.bytes, keys.length, settled);
  }

  /** The codec holds the key, whose page may have to be read. */
  #getFar(started: number): Promise<Buffer | undefined> {
    const { keys, values, meters } = this.#parts;
    const found = usingHandle(this.#parts, keys.bytes, keys.length, (handle) =>
      handle === 0 ? MISS : values.read(handle, keys.bytes, keys.length, this.#settled),
    ) as Promise<Buffer | undefined>;
    if (started !== 0) found.then(() => meters.get.stop(started)).catch(() => undefined);
    return found;
  }

  /** Of the codec's key, which is in the codec again when it returns. Blocks to read its page. */
  #handleSync(): number {
    const { keys, index } = this.#parts;
    const { hash } = keys;
    const pages = index.pages as IndexPages;
    const now = pages.get(hash);
    if (now !== UNREAD) return now;
    // Others use the codec while completions run.
    const key = copyBytes(keys.bytes, keys.length);
    pages.loadSync(hash[0] as number);
    keys.encodeStored(key, key.length);
    return pages.get(hash);
  }

  getSync(key: Key): Buffer | undefined {
    const { keys, index, values, meters } = this.#parts;
    const started = meters.get.start();
    meters.gets++;
    keys.encode(key);
    const handle = index.pages === undefined ? index.get(keys.hash) : this.#handleSync();
    let value: Buffer | undefined;
    if (handle !== 0) {
      const now = values.readNow(handle, keys.bytes, keys.length);
      value = now === PENDING ? values.readSync(handle, keys.bytes, keys.length) : now;
    }
    meters.get.stop(started);
    return this.#count(value);
  }

  has(key: Key): boolean | Promise<boolean> {
    const { keys, index } = this.#parts;
    keys.encode(key);
    if (index.pages === undefined) return index.get(keys.hash) !== 0;
    return usingHandle(this.#parts, keys.bytes, keys.length, (handle) => handle !== 0);
  }

  hasSync(key: Key): boolean {
    const { keys, index } = this.#parts;
    keys.encode(key);
    return (index.pages === undefined ? index.get(keys.hash) : this.#handleSync()) !== 0;
  }

  batchGet(wanted: readonly Key[] | BigUint64Array): Promise<(Buffer | undefined)[]> {
    return this.#readAll(this.#copyKeys(wanted));
  }

  async #readAll(records: WantedRecords): Promise<(Buffer | undefined)[]> {
    const found = new Array<Buffer | undefined>(records.handles.length).fill(undefined);
    const unpin = this.#parts.values.pin();
    try {
      if (this.#far !== undefined) await this.#far.look(records);
      await readWindowed(this.#parts.values, records, (at, value) => {
        found[at] = this.#count(value);
      });
    } finally {
      unpin();
    }
    this.#parts.meters.gets += found.length;
    return found;
  }

  gather(keys: BigUint64Array, rows: Uint8Array, rowBytes: number): Promise<GatherResult> {
    const { resident } = this.#parts.values.capabilities;
    if (!resident || this.#far !== undefined) return this.#gatherFar(keys, rows, rowBytes);
    const { index, values, meters } = this.#parts;
    const count = keys.length;
    if (this.#absent.length < count) this.#absent = new Uint32Array(count);
    let missing: number;
    if (index.native !== undefined && values.gatherBy !== undefined) {
      missing = values.gatherBy(index.native, keys, rows, rowBytes, this.#absent);
    } else {
      const handles = this.#handlesFor(count);
      index.batchGet(keys, handles);
      missing = values.gather(handles, keys, rows, rowBytes, this.#absent) as number;
    }
    meters.gets += count;
    return Promise.resolve(this.#gathered(count, rowBytes, this.#absent, missing));
  }

  async #gatherFar(
    keys: BigUint64Array,
    rows: Uint8Array,
    rowBytes: number,
  ): Promise<GatherResult> {
    const { index, values, meters } = this.#parts;
    const handles = new Float64Array(keys.length);
    const absent = new Uint32Array(keys.length);
    const unpin = values.pin();
    try {
      if (this.#far === undefined) index.batchGet(keys, handles);
      else await this.#far.lookRows(keys, handles);
      const missing = await values.gather(handles, keys, rows, rowBytes, absent);
      meters.gets += keys.length;
      return this.#gathered(keys.length, rowBytes, absent, missing);
    } finally {
      unpin();
    }
  }

  #gathered(count: number, rowBytes: number, absent: Uint32Array, missing: number): GatherResult {
    this.#parts.meters.hits += count - missing;
    this.#parts.meters.bytesRead += (count - missing) * rowBytes;
    return { missing, missingIndexes: missing === 0 ? NONE : absent.slice(0, missing) };
  }

  /** For a gather that ends within its call: an array for each costs a tenth of 256 rows. */
  #handlesFor(count: number): Float64Array {
    if (this.#handles.length < count) this.#handles = new Float64Array(count);
    return this.#handles.length === count ? this.#handles : this.#handles.subarray(0, count);
  }

  /** Copied keys and, where the index is in memory, their handles, all looked up at one moment. */
  #copyKeys(wanted: readonly Key[] | BigUint64Array): WantedRecords {
    const { keys, index } = this.#parts;
    const handles = new Float64Array(wanted.length);
    const offsets = new Uint32Array(wanted.length + 1);
    let bytes = Buffer.allocUnsafe(Math.max(64, wanted.length * 16));
    for (let at = 0; at < wanted.length; at++) {
      keys.encode(wanted[at] as Key);
      if (index.pages === undefined) handles[at] = index.get(keys.hash);
      const begin = offsets[at] as number;
      if (begin + keys.length > bytes.length) {
        const larger = Buffer.allocUnsafe((begin + keys.length) * 2);
        bytes.copy(larger, 0, 0, begin);
        bytes = larger;
      }
      bytes.set(
        keys.bytes.length === keys.length ? keys.bytes : keys.bytes.subarray(0, keys.length),
        begin,
      );
      offsets[at + 1] = begin + keys.length;
    }
    return { handles, keys: bytes, offsets };
  }

  #count(value: Buffer | undefined): Buffer | undefined {
    if (value !== undefined) {
      this.#parts.meters.hits++;
      this.#parts.meters.bytesRead += value.length;
    }
    return value;
  }
}

/** Checks the arguments of batchGetInto; the rows as bytes. @throws CairnError. */
export function checkRows(
  keyType: 'bytes' | 'u64',
  keys: BigUint64Array,
  rows: Uint8Array | Float32Array,
  rowBytes: number,
): Uint8Array {
  const refuse = (message: string): never => {
    throw new CairnError('CAIRN_INVALID_ARGUMENT', message);
  };
  if (keyType !== 'u64') refuse("rows need a store with key: { type: 'u64' }");
  if (!(keys instanceof BigUint64Array)) refuse('keys is a BigUint64Array');
  if (!(rows instanceof Uint8Array) && !(rows instanceof Float32Array)) {
    refuse('rows is a Uint8Array or a Float32Array');
  }
  if (!Number.isSafeInteger(rowBytes) || rowBytes < 1) refuse('rowBytes is a positive integer');
  if (keys.length * rowBytes > rows.byteLength) {
    refuse(
      `rows has ${rows.byteLength} bytes; ${keys.length} rows of ${rowBytes} bytes take ` +
        `${keys.length * rowBytes}`,
    );
  }
  return new Uint8Array(rows.buffer, rows.byteOffset, rows.byteLength);
}
