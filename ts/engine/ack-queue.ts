interface Waiting {
  readonly sequence: number;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/**
 * Promises of writes, in the order of their sequence numbers, that wait until the log has come so
 * far. A ring in an array: settling thousands costs no shifting.
 */
export class AckQueue {
  #waiting: (Waiting | undefined)[] = [];
  #head = 0;

  get size(): number {
    return this.#waiting.length - this.#head;
  }

  /** Sequences are added in ascending order. */
  wait(sequence: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ sequence, resolve, reject });
    });
  }

  settle(reached: number): void {
    const waiting = this.#waiting;
    let head = this.#head;
    while (head < waiting.length && (waiting[head] as Waiting).sequence <= reached) {
      (waiting[head] as Waiting).resolve();
      waiting[head++] = undefined;
    }
    if (head === waiting.length) {
      waiting.length = 0;
      head = 0;
    } else if (head > 4096 && head * 2 > waiting.length) {
      waiting.splice(0, head);
      head = 0;
    }
    this.#head = head;
  }

  fail(error: Error): void {
    const waiting = this.#waiting.slice(this.#head);
    this.#waiting = [];
    this.#head = 0;
    for (const entry of waiting) entry?.reject(error);
  }
}
