import type { CairnError } from '../common/errors.js';

/** The first failure that ends writing for good, and whoever is to hear of it. */
export class FinalFailure {
  #cause: CairnError | undefined;
  #heard: ((cause: CairnError) => void) | undefined;

  get cause(): CairnError | undefined {
    return this.#cause;
  }

  /** Gives its argument back. */
  set(cause: CairnError): CairnError {
    if (this.#cause === undefined) {
      this.#cause = cause;
      this.#heard?.(cause);
    }
    return cause;
  }

  /** @throws CairnError when there was one. */
  check(): void {
    if (this.#cause !== undefined) throw this.#cause;
  }

  onFailure(heard: (cause: CairnError) => void): void {
    this.#heard = heard;
    if (this.#cause !== undefined) heard(this.#cause);
  }
}
