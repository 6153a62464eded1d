/** A change that waits for its page: the newest handle of a key, 0 when it was deleted. */
export interface PendingChange {
  readonly d: number;
  readonly h: number;
  readonly x: number;
  handle: number;
  /** Another one with the same h. */
  next: PendingChange | undefined;
}

interface BucketChanges {
  readonly changes: PendingChange[];
  /** So many go into its page without a split. */
  readonly room: number;
}

/** Of a change, its place in the two maps below included. */
const CHANGE_BYTES = 160;

/**
 * Changes to buckets that are not in memory. A bucket that comes in takes its own, before anybody
 * looks at it; until then a key that is here is as its change says.
 */
export class PendingChanges {
  readonly #byHash = new Map<number, PendingChange>();
  readonly #byBucket = new Map<number, BucketChanges>();
  #count = 0;
  #beyondRoom = 0;
  #countMax = 0;

  get count(): number {
    return this.#count;
  }

  /** What the most that ever waited took: memory is not given back. */
  get memoryBytes(): number {
    return this.#countMax * CHANGE_BYTES;
  }

  /** Those that find no room in their page: each may split it. */
  get beyondRoom(): number {
    return this.#beyondRoom;
  }

  get bucketCount(): number {
    return this.#byBucket.size;
  }

  buckets(): number[] {
    return [...this.#byBucket.keys()];
  }

  has(bucket: number): boolean {
    return this.#byBucket.has(bucket);
  }

  /** The d of a key of this bucket, which has changes. */
  firstOf(bucket: number): number {
    return this.#byBucket.get(bucket)!.changes[0]!.d;
  }

  find(d: number, h: number, x: number): PendingChange | undefined {
    if (this.#count === 0) return undefined;
    let change = this.#byHash.get(h);
    while (change !== undefined && (change.d !== d || change.x !== x)) change = change.next;
    return change;
  }

  /** The key must not be there yet. @param room of the bucket's page, the same until it is taken. */
  add(bucket: number, room: number, d: number, h: number, x: number, handle: number): void {
    const change = { d, h, x, handle, next: this.#byHash.get(h) };
    this.#byHash.set(h, change);
    const changes = this.#byBucket.get(bucket)?.changes ?? [];
    if (changes.length === 0) this.#byBucket.set(bucket, { changes, room });
    if (changes.push(change) > room) this.#beyondRoom++;
    this.#count++;
    this.#countMax = Math.max(this.#countMax, this.#count);
  }

  /** Those of the bucket, which are no longer here. */
  take(bucket: number): readonly PendingChange[] {
    const taken = this.#byBucket.get(bucket);
    if (taken === undefined) return [];
    const { changes, room } = taken;
    this.#byBucket.delete(bucket);
    for (const change of changes) this.#forget(change);
    this.#count -= changes.length;
    this.#beyondRoom -= Math.max(0, changes.length - room);
    return changes;
  }

  /** How many keys they would add if none of these were in its page. */
  added(): number {
    let added = 0;
    for (const { changes } of this.#byBucket.values()) {
      for (const { handle } of changes) if (handle !== 0) added++;
    }
    return added;
  }

  clear(): void {
    this.#byHash.clear();
    this.#byBucket.clear();
    this.#count = 0;
    this.#beyondRoom = 0;
  }

  #forget(change: PendingChange): void {
    let at = this.#byHash.get(change.h);
    if (at === change) {
      if (change.next === undefined) this.#byHash.delete(change.h);
      else this.#byHash.set(change.h, change.next);
      return;
    }
    while (at !== undefined && at.next !== change) at = at.next;
    if (at !== undefined) at.next = change.next;
  }
}
