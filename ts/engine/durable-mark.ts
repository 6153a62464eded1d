import { asError, isCairnError, type CairnError } from '../common/errors.js';
import type { StoreParts } from './parts.js';

/** The log is at rest when nothing became durable for so long. */
const REST_MS = 1000;

/**
 * Notes in the manifest how far the log is durable, once the log has come to rest. Each group says so
 * of those before it, and nothing does of the last one: damage to it would look like a write that a
 * crash cut off. Under load nothing is written.
 */
export class DurableMark {
  readonly #parts: StoreParts;
  readonly #fail: (cause: CairnError) => void;
  #timer: NodeJS.Timeout | undefined;
  #seen = 0;
  #running: Promise<void> = Promise.resolve();

  /** @param fail the manifest is not known any more: writes stop for good. */
  constructor(parts: StoreParts, fail: (cause: CairnError) => void) {
    this.#parts = parts;
    this.#fail = fail;
  }

  /** The log has come on. */
  onProgress(): void {
    // A simulated disk has no time: tests call write().
    if (this.#timer !== undefined || this.#parts.fileSet.simulated) return;
    this.#timer = setTimeout(() => this.#look(), REST_MS);
    this.#timer.unref();
  }

  /** Resolves when the manifest knows what is durable now. */
  write(): Promise<void> {
    this.#running = this.#running.then(() => this.#write());
    return this.#running;
  }

  /** Waits for what is under way; nothing begins any more. */
  async stop(): Promise<void> {
    clearTimeout(this.#timer);
    await this.#running;
  }

  #look(): void {
    this.#timer = undefined;
    const { log } = this.#parts;
    const moved = log.durableSequence !== this.#seen;
    this.#seen = log.durableSequence;
    if (log.failed !== undefined) return;
    if (moved) this.onProgress();
    else void this.write();
  }

  async #write(): Promise<void> {
    const { log, manifest } = this.#parts;
    const { durableSequence } = log;
    if (durableSequence <= manifest.current.durableSequence) return;
    try {
      await manifest.write({ durableSequence });
    } catch (error) {
      if (!isCairnError(error)) throw asError(error);
      this.#fail(error);
    }
  }
}
