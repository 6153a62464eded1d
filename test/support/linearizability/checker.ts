/** A key that is absent; values are numbers from 0. */
export const ABSENT = -1;

/** What a call did to one key, as its caller saw it. */
export type Action =
  | { readonly kind: 'put'; readonly value: number }
  /** `found`: was it there, where the call says so. */
  | { readonly kind: 'delete'; readonly found?: boolean | undefined }
  | { readonly kind: 'get'; readonly value: number }
  | { readonly kind: 'has'; readonly present: boolean };

export interface Operation {
  readonly key: number;
  readonly action: Action;
  /** Of a logical clock: the call was made. */
  readonly start: number;
  /** Its result was seen; Infinity when that is never known. */
  readonly end: number;
  /** A write that failed or was killed: it took effect between start and end, or never. */
  readonly maybe?: boolean;
}

export interface Violation {
  readonly key: number;
  /** No order of the operations that overlap gives this one its result. */
  readonly operation: Operation;
  /** What the key may have held before it ended. */
  readonly states: readonly number[];
}

/** States that are looked at for one key at one moment; a history that needs more is not decided. */
const CONFIGURATIONS_MAX = 200_000;
/** Calls on one key that overlap: a bit each. */
const PENDING_MAX = 32;

/** The pending operations that are through (bits), and what the key holds after them. */
interface Configuration {
  readonly state: number;
  readonly done: number;
}

/**
 * Whether some order of the operations, each at one moment between its start and its end, explains
 * every result: linearizability of a register per key. A history is linearizable when that of each
 * key by itself is (Herlihy and Wing 1990, theorem 1), so keys are looked at one by one; a batch is
 * an operation on each of its keys.
 *
 * Source: Wing and Gong 1993; Lowe 2017, "just-in-time linearization": an operation is put in its
 * place when one that ends needs it.
 *
 * @throws RangeError when too much overlaps to decide.
 */
export function findViolation(history: readonly Operation[]): Violation | undefined {
  const byKey = new Map<number, Operation[]>();
  for (const operation of history) {
    const list = byKey.get(operation.key);
    if (list === undefined) byKey.set(operation.key, [operation]);
    else list.push(operation);
  }
  for (const operations of byKey.values()) {
    const violation = new KeyChecker().check(operations);
    if (violation !== undefined) return violation;
  }
  return undefined;
}

class KeyChecker {
  /** By bit. */
  readonly #pending: (Operation | undefined)[] = [];
  #configurations: Configuration[] = [{ state: ABSENT, done: 0 }];

  check(operations: readonly Operation[]): Violation | undefined {
    const bits = new Map<Operation, number>();
    for (const { operation, ends } of eventsOf(operations)) {
      if (!ends) {
        bits.set(operation, this.#begin(operation));
        continue;
      }
      const bit = bits.get(operation) as number;
      const states = this.#configurations.map(({ state }) => state);
      this.#end(operation, bit);
      if (this.#configurations.length === 0) {
        return { key: operation.key, operation, states: [...new Set(states)] };
      }
    }
    return undefined;
  }

  #begin(operation: Operation): number {
    let bit = 0;
    while (this.#pending[bit] !== undefined) bit++;
    if (bit >= PENDING_MAX) {
      throw new RangeError(`key ${operation.key}: more than ${PENDING_MAX} calls overlap`);
    }
    this.#pending[bit] = operation;
    this.#configurations = this.#configurations.map((one) => this.#withReads(one));
    return bit;
  }

  /** Keeps the configurations in which the operation is through; one that may never be, in others. */
  #end(operation: Operation, bit: number): void {
    const kept = new Map<string, Configuration>();
    const keep = ({ state, done }: Configuration): void => {
      const one = { state, done: done & ~(1 << bit) };
      kept.set(nameOf(one), one);
    };
    const seen = new Set<string>();
    for (const configuration of this.#configurations) {
      if (isDone(configuration, bit)) keep(configuration);
      else {
        if (operation.maybe === true) keep(configuration);
        this.#reach(configuration, bit, seen, keep);
      }
    }
    this.#pending[bit] = undefined;
    this.#configurations = this.#withoutDominated([...kept.values()]);
  }

  /** Every way to put `target` in its place, with any of the pending writes before it. */
  #reach(
    from: Configuration,
    target: number,
    seen: Set<string>,
    found: (configuration: Configuration) => void,
  ): void {
    const stack = [from];
    for (let one = stack.pop(); one !== undefined; one = stack.pop()) {
      const name = nameOf(one);
      if (seen.has(name)) continue;
      seen.add(name);
      if (seen.size > CONFIGURATIONS_MAX) throw new RangeError('too much overlaps to decide');
      for (const [bit, operation] of this.#pending.entries()) {
        if (operation === undefined || isRead(operation) || isDone(one, bit)) continue;
        const state = stateAfter(one.state, operation.action);
        if (state === undefined) continue;
        const next = this.#withReads({ state, done: one.done | (1 << bit) });
        if (isDone(next, target)) found(next);
        else stack.push(next);
      }
    }
  }

  /** Reads that this state answers: they change nothing, so the first place that fits is as good as any. */
  #withReads({ state, done }: Configuration): Configuration {
    let all = done;
    for (const [bit, operation] of this.#pending.entries()) {
      if (operation === undefined || !isRead(operation)) continue;
      if (stateAfter(state, operation.action) !== undefined) all |= 1 << bit;
    }
    return { state, done: all };
  }

  /** What may never happen is better still to come: it can be left out. */
  #withoutDominated(configurations: Configuration[]): Configuration[] {
    let maybe = 0;
    for (const [bit, operation] of this.#pending.entries()) {
      if (operation?.maybe === true) maybe |= 1 << bit;
    }
    if (maybe === 0) return configurations;
    return configurations.filter(
      (one) =>
        !configurations.some(
          (other) =>
            other.state === one.state &&
            other.done !== one.done &&
            (other.done & ~maybe) === (one.done & ~maybe) &&
            (other.done & maybe & ~one.done) === 0,
        ),
    );
  }
}

/** The key afterwards; undefined when the result of the call is another one. */
function stateAfter(state: number, action: Action): number | undefined {
  switch (action.kind) {
    case 'put':
      return action.value;
    case 'delete':
      return action.found === undefined || action.found === (state !== ABSENT) ? ABSENT : undefined;
    case 'get':
      return action.value === state ? state : undefined;
    case 'has':
      return action.present === (state !== ABSENT) ? state : undefined;
  }
}

function isRead({ action: { kind } }: Operation): boolean {
  return kind === 'get' || kind === 'has';
}

function isDone({ done }: Configuration, bit: number): boolean {
  return (done & (1 << bit)) !== 0;
}

function nameOf({ state, done }: Configuration): string {
  return `${state} ${done}`;
}

/** Starts and ends in order; at one tick what starts overlaps what ends. */
function eventsOf(
  operations: readonly Operation[],
): { readonly operation: Operation; readonly ends: boolean }[] {
  return (
    operations
      // A read that failed says nothing.
      .filter((operation) => !(operation.maybe === true && isRead(operation)))
      .flatMap((operation) => [
        { operation, ends: false, at: operation.start },
        { operation, ends: true, at: operation.end },
      ])
      .filter(({ at }) => at !== Infinity)
      .sort((left, right) => left.at - right.at || Number(left.ends) - Number(right.ends))
  );
}

/** The operation in words, for a failure. */
export function describeOperation({ key, action, start, end, maybe }: Operation): string {
  const never = maybe === true ? ', or never' : '';
  return `key ${key}: ${describeAction(action)} in ${start} to ${end}${never}`;
}

function describeAction(action: Action): string {
  switch (action.kind) {
    case 'put':
      return `put ${action.value}`;
    case 'delete':
      return action.found === undefined ? 'delete' : `delete -> ${action.found}`;
    case 'get':
      return `get -> ${valueText(action.value)}`;
    case 'has':
      return `has -> ${action.present}`;
  }
}

export function describeViolation(
  { operation, states }: Violation,
  history: readonly Operation[],
): string {
  const { key, start, end } = operation;
  const near = history.filter(
    (other) => other.key === key && other.end >= start - 20 && other.start <= end,
  );
  return (
    `no order explains ${describeOperation(operation)}; the key held ` +
    `${states.map(valueText).join(' or ')}. Near it:\n  ` +
    near.slice(0, 40).map(describeOperation).join('\n  ')
  );
}

function valueText(value: number): string {
  return value === ABSENT ? 'nothing' : String(value);
}
