import { BUILTIN_NAMES } from '../../../ts/config/names.js';
import type { DurabilityLevel } from '../../../ts/engine/api.js';
import { combinations } from '../matrix/combination.js';
import { SeededRandom } from './random.js';

/**
 * - `churn` overwrites and deletes until slots are free, checkpoints, and fills them again;
 * - `rotate` writes more than a log segment holds;
 * - `fill` writes enough small values that pages go to the values file in the background;
 * - `grow` writes enough that the values file has to grow;
 * - `large` writes values that do not ride in the log;
 * - `rest` is a pause, in which the manifest learns what is durable;
 * - `full` fills the log of a device without space, cuts a batch off there, deletes, and goes on.
 * - `compact` leaves cells with one record each, and writes while these are moved together.
 */
export const STEP_KINDS = [
  'putNew',
  'overwriteSame',
  'overwriteOther',
  'delete',
  'batch',
  'checkpoint',
  'rotate',
  'fill',
  'grow',
  'churn',
  'large',
  'full',
  'rest',
  'bulkLoad',
  'reopen',
  'compact',
] as const;
export type StepKind = (typeof STEP_KINDS)[number];

export interface Step {
  readonly kind: StepKind;
  readonly level: DurabilityLevel;
  /** The next step begins before this one was acknowledged. */
  readonly overlapped: boolean;
}

export interface Workload {
  /** Names the workload on the command line. */
  readonly name: string;
  readonly seed: number;
  readonly keyType: 'bytes' | 'u64';
  readonly valueType: 'SSD_VALUE_STORE' | 'DRAM_VALUE_STORE' | 'TIERED_VALUE_STORE';
  /** Of a store in memory, or of the copies there. */
  readonly allocator?: string;
  readonly indexType: (typeof INDEX_TYPES)[number];
  /** Of a store on the device. */
  readonly ssdAllocator: (typeof SSD_ALLOCATORS)[number];
  /** Completions come in a seeded order. */
  readonly reorder: boolean;
  readonly steps: readonly Step[];
}

const INDEX_TYPES = [
  'DRAM_PET_HASH',
  'DRAM_EXTENDIBLE_HASH',
  'DRAM_UNORDERED_MAP',
  'SSD_EXTENDIBLE_HASH',
] as const;

const DRAM_ALLOCATORS = BUILTIN_NAMES.dramAllocator;
const SSD_ALLOCATORS = ['SSD_SLAB', 'SSD_BUDDY'] as const;

const LEVELS: readonly DurabilityLevel[] = ['sync', 'process', 'none'];

/** Every index with every value store and its allocators. */
const KINDS_OF_STORES = combinations();

/** How many there are: every sequence of `length` steps, on every kind of store. */
export function countEnumerated(length: number): number {
  return STEP_KINDS.length ** length * KINDS_OF_STORES.length;
}

/** Those of up to `length` steps. */
export function countUpTo(length: number): number {
  return length === 0 ? 0 : countUpTo(length - 1) + countEnumerated(length);
}

/** The number-th of {@link countEnumerated}, each step acknowledged at `sync` before the next begins. */
export function enumeratedWorkload(length: number, number: number): Workload {
  const sequences = STEP_KINDS.length ** length;
  return sequenceOn(length, number % sequences, Math.floor(number / sequences));
}

/** @param at the kind of store: `e2.17.3` is the 18th sequence of two steps on the fourth one. */
function sequenceOn(length: number, sequence: number, at: number): Workload {
  const name = `e${length}.${sequence}.${at}`;
  const kind = KINDS_OF_STORES[at];
  if (kind === undefined || sequence >= STEP_KINDS.length ** length) {
    throw new RangeError(`no workload is called ${name}`);
  }
  const steps: Step[] = [];
  for (let rest = sequence; steps.length < length; rest = Math.floor(rest / STEP_KINDS.length)) {
    const step = STEP_KINDS[rest % STEP_KINDS.length] ?? 'putNew';
    steps.push({ kind: step, level: 'sync', overlapped: false });
  }
  return {
    name,
    seed: sequence,
    keyType: 'bytes',
    valueType: kind.value as Workload['valueType'],
    ...(kind.dram === undefined ? {} : { allocator: kind.dram }),
    indexType: kind.index as Workload['indexType'],
    ssdAllocator: (kind.ssd ?? 'SSD_SLAB') as Workload['ssdAllocator'],
    reorder: false,
    steps,
  };
}

/** 2 to 12 steps at mixed levels, some of them overlapping. */
export function randomWorkload(seed: number): Workload {
  const random = new SeededRandom(seed);
  const count = 2 + random.below(11);
  const overlap = random.pick([0, 0.3, 0.8]);
  const oneLevel = random.chance(0.4) ? random.pick(LEVELS) : undefined;
  const steps = Array.from({ length: count }, () => ({
    kind: random.pick(STEP_KINDS),
    level: oneLevel ?? random.pick(LEVELS),
    overlapped: random.chance(overlap),
  }));
  const workload: Workload = {
    name: `r${seed}`,
    seed,
    keyType: random.chance(0.25) ? 'u64' : 'bytes',
    valueType: random.chance(0.07) ? 'DRAM_VALUE_STORE' : 'SSD_VALUE_STORE',
    allocator: DRAM_ALLOCATORS[seed % DRAM_ALLOCATORS.length] as string,
    reorder: random.chance(0.5),
    // Drawn last: the rest of a workload is as its seed made it before there were several.
    indexType: random.pick(INDEX_TYPES),
    ssdAllocator: 'SSD_SLAB',
    steps,
  };
  const tiered = random.chance(0.15) && workload.valueType === 'SSD_VALUE_STORE';
  return {
    ...workload,
    ...(tiered ? { valueType: 'TIERED_VALUE_STORE' as const } : {}),
    ssdAllocator: random.pick(SSD_ALLOCATORS),
  };
}

/** The workload that {@link Workload.name} names. */
export function workloadByName(name: string): Workload {
  const random = /^r(\d+)$/.exec(name);
  if (random !== null) return randomWorkload(Number(random[1]));
  const numbers = /^e(\d)\.(\d+)\.(\d+)$/.exec(name)?.slice(1).map(Number);
  if (numbers === undefined) throw new RangeError(`no workload is called ${name}`);
  const [length = 0, sequence = 0, at = 0] = numbers;
  return sequenceOn(length, sequence, at);
}

export function describeWorkload(workload: Workload): string {
  const steps = workload.steps.map(
    (step) => `${step.kind}/${step.level}${step.overlapped ? '+' : ''}`,
  );
  const order = workload.reorder ? ', completions reordered' : '';
  const value =
    workload.valueType === 'SSD_VALUE_STORE'
      ? `${workload.valueType} ${workload.ssdAllocator}`
      : workload.valueType === 'DRAM_VALUE_STORE'
        ? `${workload.valueType} ${workload.allocator}`
        : `${workload.valueType} ${workload.allocator} ${workload.ssdAllocator}`;
  const what = [workload.keyType, value, workload.indexType].join(', ');
  return `${workload.name} (${what}${order}): ${steps.join(' ')}`;
}
