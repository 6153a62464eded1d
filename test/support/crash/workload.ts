import { BUILTIN_NAMES } from '../../../ts/config/names.js';
import type { DurabilityLevel } from '../../../ts/engine/api.js';
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

export const INDEX_TYPES = [
  'DRAM_PET_HASH',
  'DRAM_EXTENDIBLE_HASH',
  'DRAM_UNORDERED_MAP',
  'SSD_EXTENDIBLE_HASH',
] as const;

const DRAM_ALLOCATORS = BUILTIN_NAMES.dramAllocator;
export const SSD_ALLOCATORS = ['SSD_SLAB', 'SSD_BUDDY'] as const;

const LEVELS: readonly DurabilityLevel[] = ['sync', 'process', 'none'];

/** How many sequences of `length` steps there are. */
export function countEnumerated(length: number): number {
  return STEP_KINDS.length ** length;
}

/** The index-th sequence of `length` steps, each acknowledged at `sync` before the next begins. */
export function enumeratedWorkload(length: number, index: number): Workload {
  const steps: Step[] = [];
  for (let rest = index, at = 0; at < length; at++) {
    const kind = STEP_KINDS[rest % STEP_KINDS.length] ?? 'putNew';
    steps.push({ kind, level: 'sync', overlapped: false });
    rest = Math.floor(rest / STEP_KINDS.length);
  }
  return {
    name: `e${length}.${index}`,
    seed: index,
    keyType: 'bytes',
    valueType: index % 5 === 4 ? 'TIERED_VALUE_STORE' : 'SSD_VALUE_STORE',
    allocator: DRAM_ALLOCATORS[index % DRAM_ALLOCATORS.length] as string,
    indexType: INDEX_TYPES[index % INDEX_TYPES.length] ?? 'DRAM_PET_HASH',
    ssdAllocator: index % 7 < 3 ? 'SSD_BUDDY' : 'SSD_SLAB',
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
  const enumerated = /^e(\d)\.(\d+)$/.exec(name);
  if (enumerated === null) throw new RangeError(`no workload is called ${name}`);
  return enumeratedWorkload(Number(enumerated[1]), Number(enumerated[2]));
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
