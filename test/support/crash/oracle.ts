import type { DurabilityLevel } from '../../../ts/engine/api.js';

/** Never reached by an event number. */
export const NEVER = Number.POSITIVE_INFINITY;

/** One atomic write: a put or delete of one key, or a batch. */
export interface Write {
  readonly level: DurabilityLevel;
  /** Per key the value afterwards, undefined when deleted. */
  readonly effects: ReadonlyMap<string, Buffer | undefined>;
  /** Events of the disk before the call. */
  readonly invoked: number;
  /** The call came back. */
  returned: boolean;
  /** Event at which the caller knew that it survives power loss. */
  durableAt: number;
  /** Event at which the caller knew that it survives the end of the process. */
  processAt: number;
}

/** What a store showed when it was read after a crash. */
export type Contents = ReadonlyMap<string, Buffer>;

interface Version {
  /** Index of the first write after which the key has this value. */
  readonly from: number;
  readonly value: Buffer | undefined;
}

/**
 * What the caller did and was told. After a crash at event p the store must show the state after the
 * first n writes for some n: at least every write that was acknowledged as durable by p, at most every
 * write that had begun. Batches count as one write, so they are there wholly or not at all.
 *
 * Writes are in the order of the log, which is the order of the calls.
 */
export class Oracle {
  readonly writes: Write[] = [];
  readonly #versions = new Map<string, Version[]>();
  /** By what a store showed. */
  readonly #fitting = new WeakMap<Contents, Uint8Array>();

  /** Every key that was ever written. */
  get keys(): IterableIterator<string> {
    return this.#versions.keys();
  }

  begin(
    level: DurabilityLevel,
    effects: ReadonlyMap<string, Buffer | undefined>,
    event: number,
  ): Write {
    const write = {
      level,
      effects,
      invoked: event,
      returned: false,
      durableAt: NEVER,
      processAt: NEVER,
    };
    this.writes.push(write);
    for (const [key, value] of effects) {
      let versions = this.#versions.get(key);
      if (versions === undefined) {
        versions = [{ from: 0, value: undefined }];
        this.#versions.set(key, versions);
      }
      versions.push({ from: this.writes.length, value });
    }
    return write;
  }

  /** The last one was refused and must never be seen. */
  withdraw(write: Write): void {
    if (this.writes.pop() !== write) throw new Error('not the last write');
    for (const key of write.effects.keys()) this.#versions.get(key)?.pop();
  }

  acknowledged(write: Write, event: number): void {
    write.returned = true;
    switch (write.level) {
      case 'sync':
        write.durableAt = Math.min(write.durableAt, event);
        write.processAt = Math.min(write.processAt, event);
        return;
      case 'interval':
      case 'process':
        write.processAt = Math.min(write.processAt, event);
        return;
      case 'none':
        return;
    }
  }

  /** How many writes a flush that begins now has to make durable: up to the last that returned. */
  get returnedCount(): number {
    return this.writes.findLastIndex((write) => write.returned) + 1;
  }

  /** flush or close came back: the first `count` writes are durable. */
  allDurable(count: number, event: number): void {
    for (const write of this.writes.slice(0, count)) {
      write.durableAt = Math.min(write.durableAt, event);
      write.processAt = Math.min(write.processAt, event);
    }
  }

  /** The value of a key after all writes. */
  latest(key: string): Buffer | undefined {
    return this.#versions.get(key)?.at(-1)?.value;
  }

  /** Fewest and most writes that a store may show after a crash at event `point`. */
  bounds(point: number, processOnly: boolean): { readonly least: number; readonly most: number } {
    let least = 0;
    let most = 0;
    this.writes.forEach((write, index) => {
      if ((processOnly ? write.processAt : write.durableAt) <= point) least = index + 1;
      if (write.invoked <= point) most = index + 1;
    });
    return { least, most };
  }

  /**
   * @returns what is wrong, or undefined when the contents are the state after n writes, n within
   *   the bounds.
   */
  check(contents: Contents, point: number, processOnly: boolean): string | undefined {
    const { least, most } = this.bounds(point, processOnly);
    for (const key of contents.keys()) {
      if (!this.#versions.has(key)) return `key ${key} was never written`;
    }
    const fitting = this.#fit(contents).subarray(least, most + 1);
    return fitting.includes(1) ? undefined : this.#explain(contents, least, most);
  }

  /** 1 for each n where the contents are the state after the first n writes. */
  #fit(contents: Contents): Uint8Array {
    const length = this.writes.length + 1;
    let fitting = this.#fitting.get(contents);
    if (fitting?.length === length) return fitting;
    fitting = new Uint8Array(length).fill(1);
    this.#fitting.set(contents, fitting);
    for (const [key, versions] of this.#versions) {
      const found = contents.get(key);
      for (const [at, version] of versions.entries()) {
        const end = versions[at + 1]?.from ?? length;
        if (!sameValue(version.value, found)) fitting.fill(0, version.from, end);
      }
    }
    return fitting;
  }

  /** By the first key that leaves no n. */
  #explain(contents: Contents, least: number, most: number): string {
    const possible = new Set(Array.from({ length: most - least + 1 }, (_, at) => least + at));
    for (const [key, versions] of this.#versions) {
      const found = contents.get(key);
      for (const count of possible) {
        if (!sameValue(valueAfter(versions, count), found)) possible.delete(count);
      }
      if (possible.size === 0) return explainKey(key, versions, found, least, most);
    }
    throw new Error('contents that fit are not to be explained');
  }
}

function explainKey(
  key: string,
  versions: readonly Version[],
  found: Buffer | undefined,
  least: number,
  most: number,
): string {
  const known = versions.find((version) => sameValue(version.value, found));
  let seen = `${found?.length ?? 0} bytes that were never written`;
  if (found === undefined) seen = 'absent';
  else if (known !== undefined) seen = `as after write ${known.from}`;
  return (
    `no n of ${least} to ${most} gives the state after the first n writes: ` +
    `key ${key} is ${seen}, written by ${versions.map((version) => version.from).join(', ')}`
  );
}

function valueAfter(versions: readonly Version[], count: number): Buffer | undefined {
  let value: Buffer | undefined;
  for (const version of versions) {
    if (version.from > count) break;
    value = version.value;
  }
  return value;
}

function sameValue(left: Buffer | undefined, right: Buffer | undefined): boolean {
  if (left === undefined || right === undefined) return left === right;
  return left.length === right.length && left.equals(right);
}
