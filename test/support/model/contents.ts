import assert from 'node:assert/strict';

/** Values by key; never changed. */
export type Contents = ReadonlyMap<number, Buffer>;
/** One atomic write: undefined deletes. */
export type Write = ReadonlyMap<number, Buffer | undefined>;

/** What a write that was acknowledged survives. */
export type Survives = 'power' | 'kill' | 'nothing';

/**
 * The plainest store: a Map, and what it was after each write that a crash may still undo. Writes
 * survive in their order, so that a crash leaves one of these.
 */
export class Model {
  /** The last is what the store shows. */
  #states: Contents[] = [new Map()];
  /** Into states: the first that a power cut, that the end of the process, may leave. */
  #durable = 0;
  #kept = 0;

  get now(): Contents {
    return this.#states.at(-1) as Contents;
  }

  get(key: number): Buffer | undefined {
    return this.now.get(key);
  }

  /** @param survives what its acknowledgement means; undefined while there is none. */
  write(write: Write, survives: Survives | undefined): void {
    const next = new Map(this.now);
    for (const [key, value] of write) {
      if (value === undefined) next.delete(key);
      else next.set(key, value);
    }
    this.#states.push(next);
    this.acknowledge(survives);
  }

  /** All that there is survives so much. */
  acknowledge(survives: Survives | undefined): void {
    const last = this.#states.length - 1;
    if (survives === 'power' || survives === 'kill') this.#kept = last;
    if (survives !== 'power') return;
    this.#states = [this.now];
    this.#durable = this.#kept = 0;
  }

  /** Goes on from what the store held after a crash, which must be one of the states it may leave. */
  crashed(found: Contents, how: 'power' | 'kill'): void {
    const first = how === 'power' ? this.#durable : this.#kept;
    const possible = this.#states.slice(first);
    const state = possible.find((one) => isSame(one, found));
    if (state === undefined) {
      // Says what is different from the last of them.
      assert.deepEqual(summary(found), summary(this.now), `none of ${possible.length} states`);
    }
    this.#states = [found];
    this.#durable = this.#kept = 0;
  }
}

export function isSame(left: Contents, right: Contents): boolean {
  if (left.size !== right.size) return false;
  for (const [key, value] of left) if (right.get(key)?.equals(value) !== true) return false;
  return true;
}

/** Keys with lengths and first bytes, in order: short enough to read. */
export function summary(contents: Contents): string[] {
  return [...contents]
    .sort(([left], [right]) => left - right)
    .map(([key, value]) => `${key}: ${value.length} B ${value.toString('hex', 0, 4)}`);
}
