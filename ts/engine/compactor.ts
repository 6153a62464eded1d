import { asError, isCairnError } from '../common/errors.js';
import type { RecordMover, SpaceUse } from '../value-store/record-mover.js';
import type { CompactionTuning } from './factories.js';
import { handlesOf } from './page-room.js';
import type { StoreParts } from './parts.js';
import { Slicer } from './slicer.js';
import type { WritePath } from './write-path.js';

/** Time that it holds the event loop at a stretch. */
const SLICE_MS = 0.3;
const LOTS_FOR_ROOM = 3;

/**
 * Garbage is what cells hold beyond wanted records, as a part of these. It is cleared from `begin`
 * down to `end`; beyond `crowded` writers wait. Slots that only wait for a checkpoint get one when
 * they are `waiting` (but at least as much as it writes itself); no more is moved while they are
 * half as much again. Where all that groups of cells hold beyond wanted records is more than `groups`,
 * some are emptied.
 */
const GARBAGE = { begin: 0.05, end: 0.035, crowded: 0.075, waiting: 0.02, groups: 0.085 } as const;
/** The same for small stores, as multiples of CompactionTuning.slackBytes. */
const SLACKS = { begin: 1, end: 0.75, crowded: 1.6, waiting: 0.45, groups: 1.9 } as const;
/** And where checkpoints are large beside the values, as multiples of what may wait for one. */
const WAITING = { begin: 1.5, end: 1.2, crowded: 3, waiting: 1, groups: 3.5 } as const;

type Limit = keyof typeof GARBAGE;

export interface CheckpointStarter {
  readonly running: boolean;
  readonly stats: { readonly bytes: number };
  run(): Promise<void>;
}

/**
 * Moves the records of sparse cells together in the background, so that overwriting and deleting
 * does not let the values file grow: docs/ARCHITECTURE.md "Compaction".
 */
export class Compactor {
  readonly #parts: StoreParts;
  readonly #mover: RecordMover | undefined;
  readonly #writes: WritePath;
  readonly #checkpoints: CheckpointStarter;
  readonly #tuning: CompactionTuning;
  #running: Promise<void> | undefined;
  #lot: Promise<unknown> | undefined;
  #stopped = false;
  #crowded = false;
  #waiters: (() => void)[] = [];
  /** Garbage that nothing could be done about: not tried again until there is more. */
  #futileBytes = 0;
  /** The same of free cells of groups. */
  #futileGroupBytes = 0;

  constructor(parts: StoreParts, writes: WritePath, checkpoints: CheckpointStarter) {
    this.#parts = parts;
    this.#mover = parts.values.mover;
    this.#writes = writes;
    this.#checkpoints = checkpoints;
    this.#tuning = parts.compaction;
    this.#stopped = parts.config.readOnly;
  }

  get crowded(): boolean {
    return this.#crowded;
  }

  /** Resolves when writes may go on. */
  async relief(): Promise<void> {
    while (this.#crowded) await new Promise<void>((resolve) => this.#waiters.push(resolve));
  }

  /** Looks how much garbage there is, and begins to clear it when it is too much. */
  maybe(): void {
    if (this.#mover === undefined || this.#stopped || this.#writes.failure !== undefined) return;
    const use = this.#mover.use();
    const garbage = use.allocatedBytes - use.liveBytes;
    if (this.#running === undefined) {
      // So much less than what nothing could be done about no longer tells anything.
      if (garbage < this.#futileBytes - this.#tuning.slackBytes) this.#futileBytes = 0;
      const free = use.groupBytes - use.allocatedBytes;
      if (free < this.#futileGroupBytes - this.#tuning.slackBytes / 4) this.#futileGroupBytes = 0;
      if (!this.#due(use, 'begin')) return;
      this.#running = this.#run(this.#mover).finally(() => {
        this.#running = undefined;
        this.#setCrowded(false);
      });
      // A failure ends writing, which says so, or leaves things as they were.
      this.#running.catch(() => undefined);
    }
    this.#setCrowded(this.#exceeds(garbage, use, 'crowded'));
  }

  /** Whether {@link makeRoom} may help a write that found no space. */
  mayMakeRoom(): boolean {
    const { values, index } = this.#parts;
    if (values.waitsForCheckpoint || index.pages?.waitsForCheckpoint === true) return true;
    if (this.#mover === undefined || this.#stopped) return false;
    const use = this.#mover.use();
    return use.allocatedBytes - use.liveBytes > this.#futileBytes;
  }

  /** A checkpoint, and when that frees little, some lots of records: what a write may need. */
  async makeRoom(): Promise<void> {
    await this.#checkpoints.run();
    if (this.#mover === undefined) return;
    const before = this.#mover.use();
    const { capacityBytes } = this.#parts.values.stats();
    if (capacityBytes - before.allocatedBytes > capacityBytes / 16) return;
    for (let lots = 0; lots < LOTS_FOR_ROOM && (await this.#tryMoveLot()); lots++) {
      // The old cells are free after a checkpoint, and the next lot may need them.
      await this.#checkpoints.run();
    }
    const use = this.#mover.use();
    if (use.allocatedBytes >= before.allocatedBytes) {
      this.#futileBytes = use.allocatedBytes - use.liveBytes;
    }
  }

  /** Ends at the next step; resolves when it has. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running?.catch(() => undefined);
    await this.#lot?.catch(() => undefined);
    this.#setCrowded(false);
  }

  /** Waits for what runs now. */
  async settle(): Promise<void> {
    await this.#running?.catch(() => undefined);
  }

  async #run(mover: RecordMover): Promise<void> {
    for (;;) {
      const use = mover.use();
      if (this.#stopped || !this.#due(use, 'end')) return;
      if (this.#exceeds(use.waitingBytes, use, 'waiting')) {
        const checkpoint = this.#checkpoints.running ? undefined : this.#checkpoints.run();
        checkpoint?.catch(() => undefined);
        if (this.#exceeds(use.waitingBytes / 1.5, use, 'waiting')) {
          await (checkpoint ?? this.#checkpoints.run());
        }
      }
      if (this.#stopped) return;
      if (!(await this.#clear(mover)) && !(await this.#freeWaiting(mover))) return;
      this.maybe();
    }
  }

  /** Moves a lot of what there is too much of. */
  async #clear(mover: RecordMover): Promise<boolean> {
    let moved = false;
    if (this.#groupsDue(mover.use())) {
      moved = await this.#moveLot(true);
      if (!moved) {
        const { groupBytes, allocatedBytes } = mover.use();
        this.#futileGroupBytes = groupBytes - allocatedBytes + this.#tuning.slackBytes / 8;
      }
    }
    const use = mover.use();
    if (this.#exceeds(use.allocatedBytes - use.liveBytes, use, 'end')) {
      moved = (await this.#moveLot(false)) || moved;
    }
    return moved;
  }

  /** Nothing can be moved: what waits for a checkpoint may be all there is. */
  async #freeWaiting(mover: RecordMover): Promise<boolean> {
    const before = mover.use();
    if (before.waitingBytes > 0) {
      await this.#checkpoints.run();
      const { waitingBytes } = mover.use();
      if (waitingBytes < before.waitingBytes / 2) return true;
    }
    const use = mover.use();
    this.#futileBytes = use.allocatedBytes - use.liveBytes + this.#tuning.slackBytes / 2;
    return false;
  }

  /** Moving takes room itself; where there is none, what the checkpoint freed may do. */
  async #tryMoveLot(): Promise<boolean> {
    try {
      return await this.#moveLot(false);
    } catch (error) {
      if (isCairnError(error, 'CAIRN_NO_SPACE')) return false;
      throw error;
    }
  }

  /** One lot at a time: whoever asks meanwhile gets the next. */
  async #moveLot(wholeGroup: boolean): Promise<boolean> {
    while (this.#lot !== undefined) await this.#lot.catch(() => undefined);
    if (this.#stopped) return false;
    const lot = this.#move(this.#mover as RecordMover, wholeGroup);
    this.#lot = lot;
    try {
      return await lot;
    } finally {
      this.#lot = undefined;
    }
  }

  async #move(mover: RecordMover, wholeGroup: boolean): Promise<boolean> {
    const { values } = this.#parts;
    const cells = await mover.begin(wholeGroup, this.#tuning.lotBytes);
    if (cells === 0) return false;
    const slicer = new Slicer(this.#parts, SLICE_MS);
    const moves: Move[] = [];
    try {
      for (let cell = 0; cell < cells; cell++) {
        await this.#placeCell(mover, cell, moves);
        await slicer.pause();
      }
      await mover.flush();
      await this.#relocate(moves, slicer);
    } catch (error) {
      for (const { to } of moves) values.discard(to);
      mover.end(true);
      throw asError(error);
    }
    mover.end(false);
    return true;
  }

  /**
   * The copies are durable: log and index name those whose old place is still named, between other
   * writes. Takes out of `moves` what is done.
   */
  async #relocate(moves: Move[], slicer: Slicer): Promise<void> {
    while (moves.length > 0) {
      const { key, from, to } = moves[moves.length - 1] as Move;
      const moved = this.#writes.move(key, from, to);
      if (typeof moved !== 'boolean') {
        await moved;
        continue;
      }
      moves.pop();
      if (!moved) this.#parts.values.discard(to);
      if (moves.length % 64 === 0) await slicer.pause();
    }
  }

  /** Copies what the index still names. */
  async #placeCell(mover: RecordMover, cell: number, moves: Move[]): Promise<void> {
    const { values } = this.#parts;
    const records = mover.records(cell);
    const named = await handlesOf(
      this.#parts,
      records.map(({ key }) => key),
    );
    for (const [at, { handle, key }] of records.entries()) {
      if (named[at] !== handle) continue;
      for (let to = 0; to === 0;) {
        to = mover.place(cell, at);
        if (to === 0) await values.whenRoom();
        else moves.push({ key, from: handle, to });
      }
    }
  }

  #due(use: SpaceUse, limit: Limit): boolean {
    const garbage = use.allocatedBytes - use.liveBytes;
    if (garbage <= this.#futileBytes) return false;
    return this.#exceeds(garbage, use, limit) || this.#groupsDue(use);
  }

  #groupsDue(use: SpaceUse): boolean {
    const free = use.groupBytes - use.allocatedBytes;
    if (free <= this.#futileGroupBytes) return false;
    return this.#exceeds(use.groupBytes - use.liveBytes, use, 'groups');
  }

  #exceeds(bytes: number, use: SpaceUse, limit: Limit): boolean {
    const { slackBytes } = this.#tuning;
    const waiting = Math.max(
      GARBAGE.waiting * use.liveBytes,
      SLACKS.waiting * slackBytes,
      this.#checkpoints.stats.bytes,
    );
    const part = GARBAGE[limit] * use.liveBytes;
    return bytes > Math.max(part, SLACKS[limit] * slackBytes, WAITING[limit] * waiting);
  }

  #setCrowded(crowded: boolean): void {
    this.#crowded = crowded;
    if (!crowded) for (const waiter of this.#waiters.splice(0)) waiter();
  }
}

interface Move {
  readonly key: Uint8Array;
  readonly from: number;
  readonly to: number;
}
