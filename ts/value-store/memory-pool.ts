import { randomBytes } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { addon } from '../bindings/addon.js';
import { calling } from '../bindings/file-set.js';
import type { NativeMemorySlots, NativeMemorySlotsOptions } from '../bindings/memory-slots.js';
import { errnoError, statusError, type NativeStatus } from '../bindings/status.js';
import { asError, CairnError, type ErrorCode } from '../common/errors.js';
import type { Handle, PoolStats, ValuePool } from './value-store.js';

const STAMP_BYTES = 16;

/** Where a pool file is: in a directory that stores may share, under the id of its store. */
export interface PoolPlace {
  readonly directory: string;
  readonly storeId: Uint8Array;
}

export function poolFileName(storeId: Uint8Array): string {
  return `cairn-${Buffer.from(storeId).toString('hex')}.pool`;
}

/** @throws CairnError CAIRN_LOCKED, CAIRN_UNSUPPORTED (not on tmpfs), CAIRN_NO_SPACE, CAIRN_IO. */
export function openMemorySlots(
  options: Omit<NativeMemorySlotsOptions, 'pool'>,
  place: PoolPlace | undefined,
): { slots: NativeMemorySlots; pool: MemoryPool | undefined } {
  const Native = addon().NativeMemorySlots;
  if (place === undefined) {
    return { slots: calling('open', undefined, () => new Native(options)), pool: undefined };
  }
  const { directory, storeId } = place;
  const path = join(directory, poolFileName(storeId));
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const slots = new Native({ ...options, pool: { path, storeId } });
    return { slots, pool: new MemoryPool(slots, path) };
  } catch (error) {
    throw poolError(asError(error), path);
  }
}

/** The pool file behind the slots of a DramValueStore. */
export class MemoryPool implements ValuePool {
  readonly #native: NativeMemorySlots;
  readonly #path: string;
  readonly #lost = new Set<Handle>();
  #stamp = new Uint8Array(STAMP_BYTES);
  #adopted = 0;
  #dropped = 0;

  constructor(native: NativeMemorySlots, path: string) {
    this.#native = native;
    this.#path = path;
  }

  get stamp(): Uint8Array {
    return this.#stamp;
  }

  get lost(): number {
    return this.#lost.size;
  }

  match(stamp: Uint8Array | undefined): boolean {
    return this.#native.matchPool(stamp);
  }

  adopt(handles: Float64Array, from: number, count: number): number {
    const done = this.#native.adopt(handles, from, count);
    if (done < 0) throw errnoError(done, { operation: 'open', file: this.#path });
    for (let at = from; at < from + done; at++) {
      const handle = handles[at] as number;
      if (handle < 0) this.#lost.add(-handle);
      else this.#adopted++;
    }
    this.#dropped = this.#lost.size;
    return from + done;
  }

  isLost(handle: Handle): boolean {
    return this.#lost.has(handle);
  }

  forget(handle: Handle): void {
    this.#lost.delete(handle);
  }

  /** @throws CairnError CAIRN_CORRUPTION when nothing replaced a record that was lost. */
  finishRestore(): void {
    if (this.#lost.size > 0) {
      throw new CairnError(
        'CAIRN_CORRUPTION',
        `${this.#path}: ${this.#lost.size} records do not check, and the checkpoint lacks them`,
        { operation: 'open', file: this.#path },
      );
    }
    this.#native.finishRestore();
  }

  beginCheckpoint(): void {
    this.#stamp = new Uint8Array(randomBytes(STAMP_BYTES));
    this.#native.beginCheckpoint(this.#stamp);
  }

  endCheckpoint(): void {
    this.#native.endCheckpoint();
  }

  stats(): PoolStats {
    return { file: this.#path, adopted: this.#adopted, dropped: this.#dropped };
  }
}

function poolError(error: Error, path: string): CairnError {
  const details = { operation: 'open', file: path, cause: error };
  const hint = "; value.path '' keeps values in the memory of the process";
  if (!('status' in error)) {
    const known = 'code' in error && String(error.code).startsWith('CAIRN_');
    const code = known ? (error as unknown as { code: ErrorCode }).code : 'CAIRN_IO';
    return new CairnError(code, `pool file ${path}: ${error.message}${hint}`, details);
  }
  const { code, message } = statusError(error.status as NativeStatus);
  const reason =
    code === 'CAIRN_LOCKED'
      ? 'another process has it open'
      : code === 'CAIRN_UNSUPPORTED'
        ? 'it is not on tmpfs, and on a disk every read could block'
        : message;
  return new CairnError(code, `pool file ${path}: ${reason}${hint}`, details);
}
