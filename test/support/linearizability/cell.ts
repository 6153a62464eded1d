import type { DurabilityLevel, Store, StoreConfig } from '../../../ts/index.js';
import { SeededRandom } from '../crash/random.js';
import { combinations, IO_TYPES, nameOf, type Combination } from '../matrix/combination.js';
import { describeOperation } from './checker.js';
import { openTuned } from '../tuned-store.js';
import { KEYS, readAll, runClients, type Traffic } from './clients.js';
import type { Recorder } from './recorder.js';
import { codecOf, type Codec } from './values.js';

/** One store under concurrent calls; everything follows from it. */
export interface Cell {
  readonly seed: number;
  readonly operations: number;
  readonly clients: number;
  /** A directory of its own; the store need not exist. */
  readonly path: string;
}

const TIER_BYTES = 3 * 1024 * 1024;
const PHASES = 4;
const LEVELS: readonly DurabilityLevel[] = ['sync', 'interval', 'process', 'none'];
/** What survives the end of the process. */
const KEPT_LEVELS: readonly DurabilityLevel[] = ['sync', 'interval', 'process'];

const COMBINATIONS = combinations();

/** A stride that meets all of them, neighbours of different types. */
export function combinationOf({ seed }: Cell): Combination {
  return COMBINATIONS[(seed * 19) % COMBINATIONS.length] as Combination;
}

export function describeCell(cell: Cell): string {
  return `seed ${cell.seed}, ${nameOf(combinationOf(cell))}, ${keyTypeOf(cell)} keys`;
}

function keyTypeOf({ seed }: Cell): 'bytes' | 'u64' {
  return seed % 2 === 0 ? 'bytes' : 'u64';
}

export function codecOfCell(cell: Cell): Codec {
  return codecOf(keyTypeOf(cell), cell.seed % 4 === 1 ? 256 : undefined);
}

/** Opens, or makes, the store; what may change from one opening to the next does. */
export async function openCell(cell: Cell, phase: number): Promise<Store> {
  const { index, value, dram, ssd } = combinationOf(cell);
  const capacity = value === 'TIERED_VALUE_STORE' ? { capacity_bytes: TIER_BYTES } : {};
  const config: StoreConfig = {
    key: { type: keyTypeOf(cell) },
    index: { type: index },
    value: {
      type: value,
      ...(dram === undefined ? {} : { dram_allocator: { type: dram, ...capacity } }),
      ...(ssd === undefined ? {} : { ssd_allocator: { type: ssd } }),
    },
    log: { segment_bytes: 256 * 1024, capacity_bytes: 2 * 1024 * 1024 },
    durability: LEVELS[(cell.seed + phase) % 3],
    io: { type: IO_TYPES[(cell.seed + phase) % IO_TYPES.length] },
    lock_timeout_ms: 10_000,
  };
  return openTuned(cell.path, config);
}

function trafficOf(
  cell: Cell,
  phase: number,
  recorder: Recorder,
  store: Store,
): Omit<Traffic, 'left' | 'writesOnly' | 'levels'> {
  const random = new SeededRandom(cell.seed * 1000 + phase);
  return { store, recorder, random, codec: codecOfCell(cell) };
}

/** Records that calls need at most: a batch has six, an iteration one for each key. */
export function recordsMax({ operations }: Cell): number {
  return 4 * operations + 100 * KEYS + 10_000;
}

/** What went on behind the calls. */
export interface Background {
  checkpoints: number;
  compactedCells: number;
}

/**
 * Ten times the phase, and where in it: 0 opening, 1 calls, 2 closing, 3 the calls that closing met.
 */
export function describeStage(recorder: Recorder): string {
  const calls = recorder.running().slice(0, 20).map(describeOperation);
  return `stage ${recorder.stage}, not come back: ${calls.join('; ') || 'no call on a key'}`;
}

/** Calls in phases; between them the store is closed, every second time while calls are under way. */
export async function runPhases(cell: Cell, recorder: Recorder): Promise<Background> {
  const share = Math.ceil(cell.operations / PHASES);
  const background: Background = { checkpoints: 0, compactedCells: 0 };
  for (let phase = 0; phase < PHASES; phase++) {
    recorder.stage = 10 * phase;
    const store = await openCell(cell, phase);
    recorder.settle();
    recorder.stage++;
    const traffic: Traffic = {
      ...trafficOf(cell, phase, recorder, store),
      left: share,
      writesOnly: false,
      levels: LEVELS,
    };
    await readAll(traffic);
    const running = runClients(traffic, cell.clients);
    if (phase % 2 === 1) await until(() => traffic.left < share / 20, running);
    else await running;
    const { checkpoint, values } = store.stats();
    background.checkpoints += checkpoint.count;
    background.compactedCells += values.compactedCells;
    recorder.stage++;
    await store.close();
    recorder.stage++;
    await running;
  }
  return background;
}

/** Writes until the thread is ended from outside. */
export async function writeUntilEnded(
  cell: Cell,
  recorder: Recorder,
  begun: () => void,
): Promise<void> {
  recorder.stage = 10 * PHASES;
  const store = await openCell(cell, PHASES);
  recorder.settle();
  recorder.stage++;
  const traffic: Traffic = {
    ...trafficOf(cell, PHASES, recorder, store),
    left: cell.operations,
    writesOnly: true,
    levels: KEPT_LEVELS,
  };
  const running = runClients(traffic, cell.clients);
  await until(() => traffic.left < cell.operations - 200, running);
  begun();
  await running;
}

/** What the phases left, whatever ended them: read, written to and read again. */
export async function runLast(cell: Cell, recorder: Recorder): Promise<void> {
  for (const left of [500, 0]) {
    const phase = PHASES + 1 + Number(left === 0);
    recorder.stage = 10 * phase;
    const store = await openCell(cell, phase);
    recorder.settle();
    const traffic: Traffic = {
      ...trafficOf(cell, phase, recorder, store),
      left,
      writesOnly: false,
      levels: LEVELS,
    };
    await readAll(traffic);
    await runClients(traffic, cell.clients);
    await readAll(traffic);
    await store.close();
  }
}

async function until(condition: () => boolean, running: Promise<unknown>): Promise<void> {
  let over = false;
  const end = (): void => void (over = true);
  running.then(end, end);
  while (!over && !condition()) await new Promise((resolve) => setTimeout(resolve, 1));
}
