import type { Handle } from './value-store.js';

/** Frees `handles[from]` to `handles[to - 1]`. */
export type FreeSlots = (handles: Float64Array, from: number, to: number) => void;

/**
 * Slots in memory that were replaced, oldest first, until the records that replaced them are durable
 * and no pin from before is held. Memory has no reads under way, and a checkpoint to wait for only
 * where it outlives the process.
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

  /** How many were retired before the last checkpoint began, and before the one in force did. */
  #begun = 0;
  #inForce: number;

  /** @param waitsForCheckpoint the one in force names slots that must not be used again. */
  constructor(free: FreeSlots, waitsForCheckpoint = false) {
    this.#free = free;
    this.#inForce = waitsForCheckpoint ? 0 : Number.POSITIVE_INFINITY;
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

  /** It will name no slot that was retired before. */
  beginCheckpoint(): void {
    this.#begun = this.#freed + this.waiting;
  }

  endCheckpoint(): void {
    if (this.#inForce !== Number.POSITIVE_INFINITY) this.#inForce = this.#begun;
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
    const held = Math.min(this.#pins[0] ?? Number.POSITIVE_INFINITY, this.#inForce);
    const limit = Math.min(this.#tail, this.#head + held - this.#freed);
    let end = this.#head;
    while (end < limit && (this.#sequences[end] as number) <= this.#durable) end++;
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
