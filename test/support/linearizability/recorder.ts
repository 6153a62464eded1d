import { ABSENT, type Action, type Operation } from './checker.js';

const KINDS = ['put', 'delete', 'get', 'has'] as const;
export type Kind = (typeof KINDS)[number];

/** Of a record: kind, key, value of a put, start, end, outcome, result. */
const FIELDS = 7;
/** Of a record's outcome. */
const RUNNING = 0;
const TOLD = 1;
const FAILED = 2;
const NOT_SAID = -2;
const HEADER_BYTES = 16;

/**
 * What was called and what came of it, by a logical clock that ticks with each start and end. It
 * lies in shared memory, so that it outlives the thread that is written by: one thread at a time.
 */
export class Recorder {
  readonly #fields: Int32Array;
  /** 0: records so far; 1: the clock; 2: the stage that its thread is in. */
  readonly #counts: Int32Array;

  constructor(readonly shared: SharedArrayBuffer) {
    this.#counts = new Int32Array(shared, 0, HEADER_BYTES / 4);
    this.#fields = new Int32Array(shared, HEADER_BYTES);
  }

  static ofCapacity(records: number): Recorder {
    return new Recorder(new SharedArrayBuffer(HEADER_BYTES + records * FIELDS * 4));
  }

  get length(): number {
    return this.#counts[0] as number;
  }

  get now(): number {
    return this.#counts[1] as number;
  }

  get stage(): number {
    return this.#counts[2] as number;
  }

  /** What goes on beside calls, for a failure to say. */
  set stage(stage: number) {
    this.#counts[2] = stage;
    this.tick();
  }

  tick(): number {
    return (this.#counts[1] = (this.#counts[1] as number) + 1);
  }

  /**
   * @param start when the call was made, if not now.
   * @returns the number of the record; that of a put is the value it puts.
   */
  begin(kind: Kind, key: number, start = this.tick()): number {
    const id = this.length;
    const at = id * FIELDS;
    if (at + FIELDS > this.#fields.length) throw new RangeError('the recorder is full');
    this.#fields.set([KINDS.indexOf(kind), key, id, start, 0, RUNNING, NOT_SAID], at);
    this.#counts[0] = id + 1;
    return id;
  }

  /** @param result value of a get or ABSENT; 1 or 0 for has, and a delete that says so. */
  end(id: number, result = NOT_SAID): void {
    this.#fields.set([this.tick(), TOLD, result], id * FIELDS + 4);
  }

  fail(id: number): void {
    this.#fields[id * FIELDS + 5] = FAILED;
  }

  /** What has failed, or never came back, will not be done any more: the store was opened again. */
  settle(): void {
    const now = this.tick();
    for (let id = 0; id < this.length; id++) {
      const at = id * FIELDS;
      if (this.#fields[at + 5] === TOLD || this.#fields[at + 4] !== 0) continue;
      this.#fields.set([now, FAILED], at + 4);
    }
  }

  /** Of calls that have not come back. */
  running(): Operation[] {
    return this.operations().filter((_, id) => this.#fields[id * FIELDS + 5] === RUNNING);
  }

  operations(): Operation[] {
    return Array.from({ length: this.length }, (_, id) => {
      const [kind, key, value, start, end, outcome, result] = this.#fields.subarray(
        id * FIELDS,
        (id + 1) * FIELDS,
      ) as unknown as [number, number, number, number, number, number, number];
      return {
        key,
        action: actionOf(KINDS[kind] as Kind, value, result),
        start,
        end: end === 0 ? Infinity : end,
        maybe: outcome !== TOLD,
      };
    });
  }
}

function actionOf(kind: Kind, value: number, result: number): Action {
  switch (kind) {
    case 'put':
      return { kind, value };
    case 'delete':
      return { kind, found: result === NOT_SAID ? undefined : result === 1 };
    case 'get':
      return { kind, value: result === NOT_SAID ? ABSENT : result };
    case 'has':
      return { kind, present: result === 1 };
  }
}
