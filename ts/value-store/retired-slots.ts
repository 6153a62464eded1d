import type { Handle } from './value-store.js';

/** Frees `handles[from]` to `handles[to - 1]`. */
export type FreeSlots = (handles: Float64Array, from: number, to: number) => void;

/**
 * Slots in memory that were replaced, oldest first, until the records that replaced them are durable
 * and no pin from before is held. Memory has no checkpoint to wait for and no reads under way.
 */
export class RetiredSlots {
  readonly #free: FreeSlots;
  #handles = new Float64Array(64);
  #sequences = new Float64Array(64);
  #head = 0;
  #tail = 0;
  /** How many were freed in all: pins count from the first slot ever retired. */
  #freed = 0;
  #durable = 0;
  /** Per pin the number of slots retired before it, ascending. */
  readonly #pins: number[] = [];

  constructor(free: FreeSlots) {
    this.#free = free;
  }

  get waiting(): number {
    return this.#tail - this.#head;
  }

  /** `sequence` is that of the record that replaced it; sequences do not decrease. */
  push(handle: Handle, sequence: number): void {
    if (this.#tail === this.#handles.length) this.#makeRoom();
    this.#handles[this.#tail] = handle;
    this.#sequences[this.#tail++] = sequence;
  }

  /** Nothing replaced it: only pins are waited for. */
  discard(handle: Handle): void {
    this.push(handle, 0);
    this.#release();
  }

  onDurable(sequence: number): void {
    this.#durable = Math.max(this.#durable, sequence);
    this.#release();
  }

  /** Holds back every slot retired from now on. */
  pin(): () => void {
    const before = this.#freed + this.waiting;
    this.#pins.push(before);
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      // Equal numbers stand for equal pins: any one of them may go.
      this.#pins.splice(this.#pins.indexOf(before), 1);
      this.#release();
    };
  }

  #release(): void {
    const oldest = this.#pins[0];
    const unpinned = oldest === undefined ? this.#tail : this.#head + oldest - this.#freed;
    let end = this.#head;
    while (end < unpinned && (this.#sequences[end] as number) <= this.#durable) end++;
    if (end === this.#head) return;
    this.#free(this.#handles, this.#head, end);
    this.#freed += end - this.#head;
    this.#head = end;
    if (end === this.#tail) this.#head = this.#tail = 0;
  }

  #makeRoom(): void {
    const waiting = this.waiting;
    if (waiting <= this.#handles.length / 2) {
      this.#handles.copyWithin(0, this.#head, this.#tail);
      this.#sequences.copyWithin(0, this.#head, this.#tail);
    } else {
      const handles = new Float64Array(waiting * 2);
      const sequences = new Float64Array(waiting * 2);
      handles.set(this.#handles.subarray(this.#head, this.#tail));
      sequences.set(this.#sequences.subarray(this.#head, this.#tail));
      this.#handles = handles;
      this.#sequences = sequences;
    }
    this.#head = 0;
    this.#tail = waiting;
  }
}
