import { isCairnError, type ErrorCode } from '../../../ts/common/errors.js';
import type { Store } from '../../../ts/index.js';
import { bytesOf } from '../stores.js';

/** Of one key: the version of its last acknowledged write, 0 when it is absent, and what may hold instead. */
interface Entry {
  acknowledged: number;
  /** Writes whose outcome is open: under way, or rejected with CAIRN_IO. */
  open: number[];
  bytes: Map<number, number>;
}

const HEADER_BYTES = 12;
const NOISE = bytesOf(1, 1_100_000);

/** The value of a version; its length is the version's own. */
export function valueOf(key: number, version: number, length: number): Buffer {
  const from = (Math.imul(key, 7919) + Math.imul(version, 104729)) >>> 0;
  const at = from % (NOISE.length - length);
  const value = Buffer.from(NOISE.subarray(at, at + length));
  value.writeUInt32LE(key, 0);
  value.writeUInt32LE(version, 4);
  value.writeUInt32LE(length, 8);
  return value;
}

/** What callers of a store were told, key by key. Versions of a key ascend; 0 is its absence. */
export class Ledger {
  readonly #entries = new Map<number, Entry>();
  /** Writes that were acknowledged. */
  acknowledged = 0;

  get keys(): number[] {
    return [...this.#entries.keys()];
  }

  /** Keys that are there, as far as anybody knows. */
  get present(): number[] {
    return this.keys.filter((key) => this.#entries.get(key)?.acknowledged !== 0);
  }

  /** @returns the version of the write that begins now. */
  begin(key: number, length: number | undefined): number {
    let entry = this.#entries.get(key);
    if (entry === undefined) {
      entry = { acknowledged: 0, open: [], bytes: new Map() };
      this.#entries.set(key, entry);
    }
    const version = length === undefined ? 0 : Math.max(0, ...entry.bytes.keys()) + 1;
    if (length !== undefined) entry.bytes.set(version, length);
    entry.open.push(version);
    return version;
  }

  acknowledge(key: number, version: number): void {
    const entry = this.#entry(key);
    entry.acknowledged = version;
    entry.open = [];
    this.acknowledged++;
    for (const old of entry.bytes.keys()) if (old < version) entry.bytes.delete(old);
  }

  /** CAIRN_NO_SPACE: what was rejected with it is not there (docs/DURABILITY.md). */
  refused(key: number, version: number): void {
    const entry = this.#entry(key);
    entry.open.splice(entry.open.lastIndexOf(version), 1);
  }

  /** What `found` is of the key. @throws Error when it may not be that. */
  check(key: number, found: Buffer | undefined): number {
    const { acknowledged, open, bytes } = this.#entry(key);
    const version = versionIn(key, found);
    if (found !== undefined && bytes.get(version) !== found.length && bytes.has(version)) {
      throw new Error(`key ${key}: version ${version} has ${found.length} bytes`);
    }
    if (version === acknowledged || open.includes(version)) return version;
    throw new Error(
      `key ${key}: found ${nameOf(version)}, acknowledged ${nameOf(acknowledged)}, ` +
        `open ${open.map(nameOf).join(' ') || 'none'}`,
    );
  }

  /**
   * Of every key, in one form of reading after the other.
   *
   * @param codes with which a read may fail. With CAIRN_CORRUPTION among them the device has lost
   *   writes, and what was there before may be found (docs/FAULT-MODEL.md "What is not found").
   * @returns how many did.
   */
  async checkAll(store: Store, codes: readonly ErrorCode[] = []): Promise<number> {
    let failed = 0;
    const reads = [
      (key: number) => store.get(nameOfKey(key)),
      (key: number) => Promise.resolve(store.getSync(nameOfKey(key))),
      async (key: number) => (await store.batchGet([nameOfKey(key)]))[0],
    ];
    for (const [at, key] of this.keys.entries()) {
      let found: Buffer | undefined;
      try {
        found = await (reads[at % reads.length] as (typeof reads)[number])(key);
      } catch (error) {
        if (!isCairnError(error) || !codes.includes(error.code)) throw error;
        failed++;
        continue;
      }
      if (codes.includes('CAIRN_CORRUPTION')) versionIn(key, found);
      else this.check(key, found);
    }
    return failed;
  }

  /** What the store shows now is what counts from here on. */
  async settle(store: Store): Promise<void> {
    for (const key of this.keys) {
      const version = this.check(key, await store.get(nameOfKey(key)));
      const entry = this.#entry(key);
      entry.acknowledged = version;
      entry.open = [];
    }
    const { size } = store;
    if (size !== this.present.length) {
      throw new Error(`the store has ${size} keys, ${this.present.length} were acknowledged`);
    }
  }

  #entry(key: number): Entry {
    return this.#entries.get(key) as Entry;
  }
}

export function nameOfKey(key: number): string {
  return `key-${key}`;
}

function nameOf(version: number): string {
  return version === 0 ? 'nothing' : `version ${version}`;
}

/** @throws Error for bytes that nobody wrote. */
function versionIn(key: number, found: Buffer | undefined): number {
  if (found === undefined) return 0;
  const whole =
    found.length >= HEADER_BYTES &&
    found.readUInt32LE(0) === key &&
    found.equals(valueOf(key, found.readUInt32LE(4), found.length));
  if (!whole) throw new Error(`key ${key}: ${found.length} bytes that nobody wrote`);
  return found.readUInt32LE(4);
}
