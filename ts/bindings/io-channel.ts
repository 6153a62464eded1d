import { assert } from '../common/assert.js';
import type { NativeIo } from './addon.js';

/** Results of native operations on their way to who asked. */
export interface IoChannel {
  /** @returns a token that stays until unregister. */
  register(handler: (result: number) => void): number;
  unregister(token: number): void;
  /** @returns a token for one result. */
  once(handler: (result: number) => void): number;
  /** Settles what is ready now. */
  pump(): void;
  /** Blocks until something completed, then settles it. @returns false when nothing was in flight. */
  wait(): boolean;
}

type Handler = (result: number) => void;

const SLOT_BITS = 24;
const SLOT_MASK = 2 ** SLOT_BITS - 1;
/** Keeps tokens below 2^52. */
const GENERATIONS = 2 ** 28;

/**
 * Tokens are slot + generation * 2^24: a result for a token that was given back finds nobody, even
 * when its slot is in use again.
 */
export class HandlerTable implements IoChannel {
  readonly #native: NativeIo;
  readonly #results: Float64Array;
  readonly #handlers: (Handler | undefined)[] = [];
  readonly #tokens: number[] = [];
  readonly #persistent: boolean[] = [];
  readonly #free: number[] = [];
  /** Pairs taken from native and not yet delivered: a handler may call pump or wait itself. */
  readonly #queue: number[] = [];
  #head = 0;
  /** One-shot tokens without a result. */
  #waiting = 0;

  constructor(native: NativeIo) {
    this.#native = native;
    this.#results = native.results;
    native.onDrain((count) => this.#deliver(count));
  }

  get waiting(): number {
    return this.#waiting;
  }

  register(handler: Handler): number {
    return this.#add(handler, true);
  }

  once(handler: Handler): number {
    this.#waiting++;
    return this.#add(handler, false);
  }

  unregister(token: number): void {
    const slot = token & SLOT_MASK;
    if (this.#tokens[slot] !== token) return;
    if (this.#persistent[slot] !== true) this.#waiting--;
    this.#release(slot, token);
  }

  pump(): void {
    for (let count = this.#native.drain(); count > 0; count = this.#native.drain()) {
      this.#deliver(count);
    }
  }

  wait(): boolean {
    const busy = this.#native.inFlight > 0;
    const count = this.#native.wait();
    this.#deliver(count);
    return busy || count > 0;
  }

  #add(handler: Handler, persistent: boolean): number {
    let slot = this.#free.pop();
    if (slot === undefined) {
      slot = this.#handlers.length;
      assert(slot <= SLOT_MASK, 'fewer than 2^24 operations at once');
      this.#tokens.push(slot);
      this.#handlers.push(undefined);
      this.#persistent.push(false);
    }
    this.#handlers[slot] = handler;
    this.#persistent[slot] = persistent;
    return this.#tokens[slot] ?? slot;
  }

  #release(slot: number, token: number): void {
    const next = token + SLOT_MASK + 1;
    this.#tokens[slot] = next >= GENERATIONS * (SLOT_MASK + 1) ? slot : next;
    this.#handlers[slot] = undefined;
    this.#free.push(slot);
  }

  #deliver(count: number): void {
    const queue = this.#queue;
    for (let i = 0; i < 2 * count; i++) queue.push(this.#results[i] ?? 0);
    while (this.#head < queue.length) {
      const token = queue[this.#head] ?? 0;
      const result = queue[this.#head + 1] ?? 0;
      this.#head += 2;
      const slot = token & SLOT_MASK;
      const handler = this.#handlers[slot];
      if (handler === undefined || this.#tokens[slot] !== token) continue;
      if (this.#persistent[slot] !== true) {
        this.#waiting--;
        this.#release(slot, token);
      }
      try {
        handler(result);
      } catch (error) {
        // The results behind it belong to others.
        process.nextTick(() => {
          throw error;
        });
      }
    }
    queue.length = 0;
    this.#head = 0;
  }
}
