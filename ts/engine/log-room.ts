import { isCairnError } from '../common/errors.js';
import type { Appender } from './appender.js';
import type { StoreParts } from './parts.js';
import type { SpaceMaker } from './placer.js';

/** What a record does that found no room in the log. */
export class LogRoom {
  readonly #parts: StoreParts;
  readonly #space: SpaceMaker;
  readonly #appender: Appender;

  constructor(parts: StoreParts, space: SpaceMaker, appender: Appender) {
    this.#parts = parts;
    this.#space = space;
    this.#appender = appender;
  }

  /** @param urgent it makes room, and may take what the log keeps for such. @throws CairnError. */
  async wait(urgent = false): Promise<void> {
    const { log } = this.#parts;
    this.#appender.checkWritable();
    if (!urgent) await this.checkShort();
    this.#space.maybeCheckpoint(true);
    try {
      await log.whenRoom(urgent);
    } catch (error) {
      // On a full device a checkpoint gives back the segments before it.
      if (!isCairnError(error, 'CAIRN_NO_SPACE') || !log.canRelease) throw error;
      await this.#space.checkpoint();
    }
    this.#appender.checkWritable();
  }

  /** As {@link wait}, blocking. */
  block(urgent: boolean): void {
    const { log, fileSet } = this.#parts;
    this.#appender.checkWritable();
    if (log.short !== undefined && !urgent) {
      this.#space.holdSpaceSync();
      if (log.short !== undefined) throw log.short;
      return;
    }
    // A checkpoint would need the event loop, so the log grows beyond its capacity instead.
    if ((urgent ? log.freeSegments : log.spareSegments) <= 0) log.addSegmentSync();
    else fileSet.channel.wait();
  }

  /** @throws CairnError CAIRN_NO_SPACE as long as the log takes only what makes room. */
  async checkShort(): Promise<void> {
    const { log } = this.#parts;
    if (log.short !== undefined) await this.#space.holdSpace();
    if (log.short !== undefined) throw log.short;
  }
}
