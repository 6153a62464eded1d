import type { Log } from '../log/log.js';
import { AckQueue } from './ack-queue.js';
import type { DurabilityLevel } from './api.js';
import type { StoreParts } from './parts.js';

const DONE = Promise.resolve();

/** Settles writes when the log has come as far as their level asks. */
export class Acknowledger {
  readonly #parts: StoreParts;
  readonly #durable = new AckQueue();
  readonly #written = new AckQueue();
  #syncTimer: NodeJS.Timeout | undefined;

  constructor(parts: StoreParts) {
    this.#parts = parts;
  }

  wait(sequence: number, level: DurabilityLevel): Promise<void> {
    const { log } = this.#parts;
    switch (level) {
      case 'sync':
        return reach(this.#durable, sequence, log.durableSequence, log);
      case 'interval':
        this.#syncSoon();
        return reach(this.#written, sequence, log.writtenSequence, log);
      case 'process':
        return reach(this.#written, sequence, log.writtenSequence, log);
      case 'none':
        return DONE;
    }
  }

  /** As {@link wait}, for everything appended so far, also what was asked for less. */
  waitForAll(level: DurabilityLevel): Promise<void> {
    const { log } = this.#parts;
    if (level === 'none' || log.durableSequence >= log.completeSequence) return Promise.resolve();
    return level === 'sync' ? log.sync() : this.wait(log.completeSequence, level);
  }

  /** Blocks until everything appended has reached the level. */
  block(level: DurabilityLevel): void {
    if (level === 'none') return;
    if (level === 'interval') this.#syncSoon();
    this.#parts.log.waitSync(level === 'sync');
  }

  settle(durable: number, written: number): void {
    this.#durable.settle(durable);
    this.#written.settle(Math.max(durable, written));
  }

  fail(error: Error): void {
    this.stop();
    this.#durable.fail(error);
    this.#written.fail(error);
  }

  stop(): void {
    clearTimeout(this.#syncTimer);
    this.#syncTimer = undefined;
  }

  #syncSoon(): void {
    if (this.#syncTimer !== undefined) return;
    const { log, config } = this.#parts;
    this.#syncTimer = setTimeout(() => {
      this.#syncTimer = undefined;
      if (log.failed === undefined && log.durableSequence < log.appendedSequence) log.requestSync();
    }, config.durability.intervalMs);
    // What was acknowledged is with the kernel: a process that ends loses nothing by ending early.
    this.#syncTimer.unref();
  }
}

/** A write that waited for room may be there before it asks: no post would follow then. */
function reach(queue: AckQueue, sequence: number, reached: number, log: Log): Promise<void> {
  if (reached >= sequence) return DONE;
  const { failed } = log;
  return failed === undefined ? queue.wait(sequence, log.groupsBegun) : Promise.reject(failed);
}
