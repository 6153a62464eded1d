import type { FileId, FileSet } from '../bindings/file-set.js';
import type { FinalFailure } from './final-failure.js';
import { syncError } from './slot-errors.js';
import { VALUES_FILE } from './values-file.js';

/**
 * Syncs the values file. All who ask while a sync runs share the next one, because the running one
 * may have begun before their write ended.
 *
 * The kernel may forget what a failed sync should have written: another would tell of success. So
 * after the first failure, whatever it was of, there is none, also for those that wait already.
 */
export class GroupedSync {
  readonly #fileSet: FileSet;
  readonly #file: FileId;
  readonly #failure: FinalFailure;
  #running: Promise<void> | undefined;
  #next: Promise<void> | undefined;

  constructor(fileSet: FileSet, file: FileId, failure: FinalFailure) {
    this.#fileSet = fileSet;
    this.#file = file;
    this.#failure = failure;
  }

  run(): Promise<void> {
    if (this.#running === undefined) return this.#start();
    this.#next ??= this.#running.then(
      () => this.#start(),
      () => this.#start(),
    );
    return this.#next;
  }

  /** Blocks; one that runs goes on beside it. */
  block(): void {
    this.#failure.check();
    try {
      const { native } = this.#fileSet;
      this.#fileSet.runSync('sync', VALUES_FILE, (token) => native.sync(this.#file, token));
    } catch (error) {
      throw this.#failure.set(syncError(error));
    }
    // Another sync may have failed meanwhile, and taken the error with it.
    this.#failure.check();
  }

  #start(): Promise<void> {
    this.#next = undefined;
    const running = this.#sync().finally(() => {
      if (this.#running === running) this.#running = undefined;
    });
    this.#running = running;
    return running;
  }

  async #sync(): Promise<void> {
    this.#failure.check();
    try {
      await this.#fileSet.sync(this.#file);
    } catch (error) {
      throw this.#failure.set(syncError(error));
    }
    this.#failure.check();
  }
}
