interface Waiting {
  /** Of the last write that waits here. */
  sequence: number;
  readonly group: number;
  readonly promise: Promise<void>;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/**
 * Writes, in the order of their sequence numbers, that wait until the log has come so far. Those of
 * one group of the log become durable with one write of the device, so they share one promise. A
 * ring in an array: settling thousands costs no shifting.
 */
export class AckQueue {
  #waiting: (Waiting | undefined)[] = [];
  #head = 0;

  /**
   * Sequences are added in ascending order.
   *
   * @param group of the log's, that the record is in.
   */
  wait(sequence: number, group: number): Promise<void> {
    const last = this.#waiting[this.#waiting.length - 1];
    if (last !== undefined && last.group === group) {
      last.sequence = Math.max(last.sequence, sequence);
      return last.promise;
    }
    let resolve!: () => void;
    let reject!: (error: Error) => void;
    const promise = new Promise<void>((whenDone, whenFailed) => {
      resolve = whenDone;
      reject = whenFailed;
    });
    this.#waiting.push({ sequence, group, promise, resolve, reject });
    return promise;
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
