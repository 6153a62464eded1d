import { isCairnError } from '../common/errors.js';
import type { WriteOperation } from './batch-write.js';
import type { StoreParts } from './parts.js';

/** What the write path asks of the checkpointer when it runs out of room. */
export interface SpaceMaker {
  /** Runs a checkpoint; resolves when the log before it and the slots it frees can be used. */
  checkpoint(): Promise<void>;
  /** Starts one in the background when the log has grown enough. */
  maybeCheckpoint(waiting?: boolean): void;
  /** Looks again for the space of the next checkpoint; see Log.short. */
  holdSpace(): Promise<void>;
  /** The same, blocking. */
  holdSpaceSync(): void;
  /** There is no space for values: could {@link makeRoom} find some? */
  mayMakeRoom(): boolean;
  /** Frees what a checkpoint can free, and moves records out of sparse cells. */
  makeRoom(): Promise<void>;
  /** Garbage grows faster than it is cleared: writes wait for {@link relief}. */
  crowded(): boolean;
  relief(): Promise<void>;
  /** A group of the log was written: time to look how it stands with room and garbage. */
  onProgress(): void;
}

/** Finds places for values that may have to wait: for writes under way, or for a checkpoint. */
export class Placer {
  readonly #parts: StoreParts;
  readonly #space: SpaceMaker;
  readonly #sequence: () => number;

  /** @param sequence the one that a record placed now is to carry. */
  constructor(parts: StoreParts, space: SpaceMaker, sequence: () => number) {
    this.#parts = parts;
    this.#space = space;
    this.#sequence = sequence;
  }

  /** Runs `place`; when there is no space, once more, after room was made where some can be. */
  withSpace<T>(place: () => T | Promise<T>): Promise<T> {
    return this.attempts()(place);
  }

  /**
   * {@link withSpace} for the attempts of one write, which may wait in between: room is made for it
   * again only when that freed some before. Each attempt asks a full device anew, which is waiting
   * again, so that a write would not end otherwise. Where no room can be made it asks once more as
   * well: what the device said may be its answer to another write, from before there was space.
   */
  attempts(): <T>(place: () => T | Promise<T>) => Promise<T> {
    let futile = false;
    return async (place) => {
      try {
        return await place();
      } catch (error) {
        if (futile || !isCairnError(error, 'CAIRN_NO_SPACE')) throw error;
        futile = !this.#space.mayMakeRoom() || !(await this.#makeRoom());
        return await place();
      }
    };
  }

  /** @returns whether that freed some. */
  async #makeRoom(): Promise<boolean> {
    const { values } = this.#parts;
    const before = values.stats().allocatedBytes;
    await this.#space.makeRoom();
    return values.stats().allocatedBytes < before;
  }

  /**
   * @param through the log will carry the handle only. Without it no checkpoint is asked for: a
   *   batch that is begun must not wait for one, because it waits for the batch.
   */
  async place(key: Uint8Array, value: Uint8Array, through: boolean): Promise<number> {
    const { values } = this.#parts;
    if (value.length > values.capabilities.inlineBytesMax) {
      return this.withSpace(() => values.placeLarge(key, key.length, value, this.#sequence()));
    }
    const withSpace = this.attempts();
    for (;;) {
      const place = (): number => values.place(key, key.length, value, this.#sequence(), through);
      const handle = through ? await withSpace(place) : place();
      if (handle !== 0) return handle;
      await values.whenRoom();
    }
  }

  /** A large value in its slot, durable. */
  async placeDurable(key: Uint8Array, value: Uint8Array): Promise<number> {
    const handle = await this.place(key, value, true);
    await this.#parts.values.syncData();
    return handle;
  }

  /** The handles of all values; when one finds no place, none has one. */
  async placeAll(operations: readonly WriteOperation[], through: boolean): Promise<Float64Array> {
    const { values } = this.#parts;
    const handles = new Float64Array(operations.length);
    try {
      for (const [at, { key, value }] of operations.entries()) {
        if (value !== undefined) handles[at] = await this.place(key, value, through);
      }
      if (through) await values.flush();
      return handles;
    } catch (error) {
      for (const handle of handles) if (handle !== 0) values.discard(handle);
      throw error;
    }
  }
}
