import type { FileSet } from '../bindings/file-set.js';
import type { NativeSlotFile } from '../bindings/slot-file.js';
import { placeError } from './slot-errors.js';
import type { Handle } from './value-store.js';

/** A record of a lot, read from the place that `handle` names. */
export interface MovableRecord {
  readonly handle: Handle;
  readonly key: Uint8Array;
}

/** How much of the space that cells take is in use; bytes. */
export interface SpaceUse {
  /** In cells that hold or may hold records. */
  readonly allocatedBytes: number;
  /** Of these, in slots whose records are wanted. */
  readonly liveBytes: number;
  /** Of these, in slots that were replaced and wait for the next checkpoint, or for readers. */
  readonly waitingBytes: number;
  /** In groups of cells, free cells included. */
  readonly groupBytes: number;
}

/**
 * The part of a value store that empties sparse cells: it reads them in lots and places what is
 * still wanted anew. One lot at a time; from {@link begin} to {@link end} no slot of the lot is used
 * again, so an index that still names one means the record that was read.
 */
export interface RecordMover {
  use(): SpaceUse;
  /**
   * Takes and reads the sparsest cells of one class, with about `liveBytesMax` of records, or those
   * of a group that its class can do without.
   *
   * @returns how many cells; 0: nothing is to be gained, and there is nothing to end.
   */
  begin(wholeGroup: boolean, liveBytesMax: number): Promise<number>;
  records(cell: number): readonly MovableRecord[];
  /** The new handle of record `index` of the cell, or 0: again after whenRoom(). @throws CairnError. */
  place(cell: number, index: number): Handle;
  /** Writes out what was placed and makes it durable. */
  flush(): Promise<void>;
  /** @param failed its cells may be taken again. */
  end(failed: boolean): void;
}

/** What the mover needs of its store. */
export interface MovesOfStore {
  /** A number of the file by its name. */
  stateOf(name: string): number;
  /** Resolves when the runs of records that move are written and synced. */
  flushMoves(): Promise<void>;
}

/** {@link RecordMover} of a values file. */
export class SlotFileMover implements RecordMover {
  readonly #fileSet: FileSet;
  readonly #native: NativeSlotFile;
  readonly #store: MovesOfStore;

  constructor(fileSet: FileSet, native: NativeSlotFile, store: MovesOfStore) {
    this.#fileSet = fileSet;
    this.#native = native;
    this.#store = store;
  }

  use(): SpaceUse {
    this.#native.updateState();
    const waitingBytes = this.#store.stateOf('waitingBytes');
    return {
      allocatedBytes: this.#store.stateOf('allocatedBytes'),
      liveBytes: this.#store.stateOf('liveBytes') - waitingBytes,
      waitingBytes,
      groupBytes: this.#store.stateOf('reservedBytes'),
    };
  }

  begin(wholeGroup: boolean, liveBytesMax: number): Promise<number> {
    return new Promise((resolve) => {
      const token = this.#fileSet.channel.once(() => resolve(cells));
      const cells = this.#native.moveStart(wholeGroup, liveBytesMax, token);
      if (cells > 0) return this.#started();
      this.#fileSet.channel.unregister(token);
      resolve(0);
    });
  }

  records(cell: number): readonly MovableRecord[] {
    const bytes = this.#native.moveRecords(cell);
    const records: MovableRecord[] = [];
    for (let at = 0; at < bytes.length;) {
      const keyEnd = at + ENTRY_BYTES + bytes.readUInt32LE(at + 8);
      const key = bytes.subarray(at + ENTRY_BYTES, keyEnd);
      records.push({ handle: bytes.readDoubleLE(at), key });
      at = Math.ceil(keyEnd / 8) * 8;
    }
    return records;
  }

  place(cell: number, index: number): Handle {
    const handle = this.#native.movePlace(cell, index);
    this.#started();
    if (handle < 0) throw placeError(handle, 0);
    return handle;
  }

  flush(): Promise<void> {
    this.#native.moveSeal();
    this.#fileSet.kick();
    return this.#store.flushMoves();
  }

  end(failed: boolean): void {
    this.#native.moveEnd(failed);
  }

  /** The ring is submitted at the end of the turn; a simulated disk has to be told. */
  #started(): void {
    if (this.#fileSet.simulated) this.#fileSet.kick();
  }
}

/** Before each key: handle (f64), key bytes (u32), slot bytes (u32). native/binding/slot_move_binding.cc. */
const ENTRY_BYTES = 16;
