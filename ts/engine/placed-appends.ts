import { RECORD_PUT_REF } from '../log/log.js';
import type { Appender } from './appender.js';
import type { LogRoom } from './log-room.js';
import type { PageRoom } from './page-room.js';
import type { StoreParts } from './parts.js';
import type { Placer } from './placer.js';
import { Slicer } from './slicer.js';

/** Rows appended and indexed without a look at the clock: about half a millisecond. */
const ROWS_PER_STEP = 2048;

/** Where changes wait for room. */
interface Room {
  readonly log: LogRoom;
  readonly pages: PageRoom;
  readonly placer: Placer;
}

/**
 * Log and index name records that are in their slots already; one caller at a time. Slots that are
 * not named when that fails are free again.
 */
export class PlacedAppends {
  readonly #parts: StoreParts;
  readonly #appender: Appender;
  readonly #room: Room;

  constructor(parts: StoreParts, appender: Appender, room: Room) {
    this.#parts = parts;
    this.#appender = appender;
    this.#room = room;
  }

  async entries(
    count: number,
    keyAt: (index: number) => Uint8Array,
    handles: Float64Array,
    wantSync: boolean,
  ): Promise<void> {
    const { keys, values } = this.#parts;
    const { persistent } = values.capabilities;
    const { log, pages, placer } = this.#room;
    const slicer = new Slicer(this.#parts);
    let done = 0;
    try {
      while (done < count) {
        const key = keyAt(done);
        const handle = handles[done] as number;
        if (!pages.has(1)) await pages.wait(placer, 1);
        keys.encodeStored(key, key.length);
        while (
          persistent &&
          !this.#appender.append(RECORD_PUT_REF, 0, handle, undefined, wantSync)
        ) {
          await log.wait();
          keys.encodeStored(key, key.length);
        }
        done++;
        this.#appender.indexLoaded(handle);
        if (done % 256 === 0) await slicer.pause();
      }
    } catch (error) {
      for (const handle of handles.subarray(done, count)) values.discard(handle);
      throw error;
    }
  }

  /** Rows of a u64 store. */
  async rows(keys: BigUint64Array, handles: Float64Array): Promise<void> {
    const { log, pages, placer } = this.#room;
    const slicer = new Slicer(this.#parts);
    let from = 0;
    try {
      while (from < keys.length) {
        const count = Math.min(ROWS_PER_STEP, keys.length - from);
        await pages.wait(placer, count);
        const done = this.#appender.putRows(keys, handles, from, count);
        from += done;
        if (done < count) await log.wait();
        await slicer.pause();
      }
    } catch (error) {
      for (const handle of handles.subarray(from)) this.#parts.values.discard(handle);
      throw error;
    }
  }
}
