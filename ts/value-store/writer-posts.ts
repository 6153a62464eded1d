import { asError } from '../common/errors.js';

/** Those who wait for the writer of the addon, which posts after each change of its state. */
export class WriterPosts {
  /** Called at each post; true when done. */
  #waiters: (() => boolean)[] = [];
  #posts = 0;
  /** `#posts` when a record found no room last; undefined when that was waited for. */
  #refusedAt: number | undefined;

  posted(): void {
    this.#posts++;
    if (this.#waiters.length === 0) return;
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) if (!waiter()) this.#waiters.push(waiter);
  }

  /** A record found no room. */
  refused(): void {
    this.#refusedAt = this.#posts;
  }

  /**
   * Resolves when there may be room again: one post is enough, the next attempt tells. It may have
   * come already, between the refusal and this call.
   */
  afterRefusal(): Promise<void> {
    const missed = this.#refusedAt !== undefined && this.#refusedAt !== this.#posts;
    this.#refusedAt = undefined;
    return missed ? Promise.resolve() : this.until(() => true);
  }

  /** Resolves when `done` says so, which is asked after each post. */
  until(done: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiters.push(() => {
        try {
          const finished = done();
          if (finished) resolve();
          return finished;
        } catch (error) {
          reject(asError(error));
          return true;
        }
      });
    });
  }
}
