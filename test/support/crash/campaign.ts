import { choicesAt, checkState, formatState } from './enumerator.js';
import type { CrashState, Recovered } from './enumerator.js';
import { KnownImages } from './known-images.js';
import { SeededRandom } from './random.js';
import { record } from './recording.js';
import type { Recording } from './recording.js';
import {
  countEnumerated,
  countUpTo,
  describeWorkload,
  enumeratedWorkload,
  randomWorkload,
} from './workload.js';
import type { Workload } from './workload.js';

export interface CampaignOptions {
  readonly seed: number;
  /** Ends after that many. */
  readonly states: number;
  /** States tried at a point that has more than a few; the rest is left to other seeds. Infinity: all. */
  readonly perPoint: number;
  /** This process takes every `workers`-th workload, beginning with `worker`. */
  readonly worker: number;
  readonly workers: number;
  /** Only this one, at all points. */
  readonly only?: Workload | undefined;
  /**
   * Only the enumerated ones of up to so many steps, each of them once, in its last step: what comes
   * before is a shorter one, and closing and a pause are steps.
   */
  readonly sequences?: number | undefined;
  /** States of a sequence that are tried, at events evenly chosen; undefined: at all, as perPoint says. */
  readonly perSequence?: number | undefined;
  /** Where an earlier run of this worker came to. */
  readonly from?: Place | undefined;
}

/** The workload that is tried, and what was done before it. */
export interface Place {
  readonly index: number;
  readonly states: number;
  readonly opened: number;
  readonly workloads: number;
}

export interface Violation {
  readonly workload: string;
  readonly description: string;
  readonly state: string;
  readonly message: string;
}

export interface Tally {
  states: number;
  /** Stores opened: states of a workload that are equal in all that is read are opened once. */
  opened: number;
  workloads: number;
  place: Place;
  readonly violations: Violation[];
}

/** Where it is, for whoever has to say what hung. */
export interface Progress {
  /** Undefined: the workload itself runs. */
  begin(workload: Workload, state: CrashState | undefined): void;
  states(tally: Tally): void;
}

/** All states of a point with no more are tried: what five free sectors leave, and a kill. */
const FEW_STATES = 33;
/** Share of the states that, if they are opened, are written to, closed and opened again. */
const EXTENDED = 0.2;
/** Share of the states after which a recovery is crashed as well. */
const SECOND_CRASHES = 0.15;
/**
 * Share of these in which that is the recovery from a kill there, made once for an event: the second
 * crash may lose what was not synced before the first.
 */
const KILLED_FIRST = 0.33;
/** Second crashes of one event: most of many recoveries there are alike. */
const SECOND_CRASHES_MAX = 4;
const KILL: CrashState['choice'] = { kind: 'all' };
const RANDOM_STATES = 24;
const STATES_PER_TURN = 8;
const VIOLATIONS_MAX = 20;
const GOLDEN_RATIO = 0.618034;
/** Of one seed until another begins with the same ones. */
const SEED_TURNS = 1009;

/** Runs workloads and tries their crash states until enough states were tried. */
export async function runCampaign(options: CampaignOptions, progress: Progress): Promise<Tally> {
  const place = options.from ?? { index: options.worker, states: 0, opened: 0, workloads: 0 };
  const { states, opened, workloads } = place;
  const tally: Tally = { states, opened, workloads, place, violations: [] };
  for (let { index } = place; !isDone(options, tally); index += options.workers) {
    const { states, opened, workloads } = tally;
    tally.place = { index, states, opened, workloads };
    const workload = workloadOf(options, index);
    if (workload === undefined) break;
    progress.begin(workload, undefined);
    await tryWorkload(workload, options, tally, progress);
    tally.workloads++;
    if (options.only !== undefined) break;
  }
  return tally;
}

/** Undefined when there are no more. */
function workloadOf(options: CampaignOptions, index: number): Workload | undefined {
  const { only, sequences, seed } = options;
  if (only !== undefined) return only;
  if (sequences === undefined) return workloadAt(seed, index);
  for (let length = 1; length <= sequences; length++) {
    if (index >= countUpTo(length)) continue;
    return enumeratedWorkload(length, index - countUpTo(length - 1));
  }
  return undefined;
}

function greatestDivisor(left: number, right: number): number {
  return right === 0 ? left : greatestDivisor(right, left % right);
}

function isDone(options: CampaignOptions, tally: Tally): boolean {
  return tally.states >= options.states || tally.violations.length >= VIOLATIONS_MAX;
}

/** Most sequences have three steps; those with fewer are tried more often than these would come. */
const LENGTHS = [1, 2, 2, 3, 3, 3] as const;

/** Two seeded workloads for each enumerated one. */
export function workloadAt(seed: number, index: number): Workload {
  if (index % 3 !== 0) return randomWorkload(seed * 1_000_000 + index);
  const turn = index / 3;
  const at = turn % LENGTHS.length;
  const length = LENGTHS[at] ?? 3;
  const among = (lengths: readonly number[]): number =>
    lengths.filter((one) => one === length).length;
  const rounds = Math.floor(turn / LENGTHS.length);
  return scattered(length, seed, rounds * among(LENGTHS) + among(LENGTHS.slice(0, at)));
}

/** For turn 0, 1, 2, ... each enumerated workload of `length` steps once, far from the one before. */
function scattered(length: number, seed: number, turn: number): Workload {
  const count = countEnumerated(length);
  let stride = Math.floor(count * GOLDEN_RATIO);
  while (greatestDivisor(stride, count) !== 1) stride++;
  return enumeratedWorkload(length, (((turn + seed * SEED_TURNS) % count) * stride) % count);
}

/** What the states of a point have in common. */
interface Tried {
  readonly recording: Recording;
  readonly random: SeededRandom;
  readonly tally: Tally;
  readonly progress: Progress;
  readonly known: KnownImages;
}

async function tryWorkload(
  workload: Workload,
  options: CampaignOptions,
  tally: Tally,
  progress: Progress,
): Promise<void> {
  const recording = await recordOrReport(workload, tally);
  if (recording === undefined) return;
  const random = new SeededRandom(options.seed ^ workload.seed);
  const tried: Tried = { recording, random, tally, progress, known: new KnownImages() };
  const whole = { from: 0, to: recording.disk.eventCount };
  const { from, to } = options.sequences === undefined ? whole : recording.lastStep;
  const events = to - from + 1;
  for (const at of sample(events, options.perSequence ?? events, random)) {
    await tryPoint(tried, from + at, options);
  }
  recording.disk.release();
}

async function tryPoint(tried: Tried, point: number, options: CampaignOptions): Promise<void> {
  const { recording, random, tally } = tried;
  const choices = choicesAt(recording.disk, point, random, RANDOM_STATES);
  const size = sampleSize(choices.count, options);
  const kill: CrashState = { point, choice: KILL, brief: !random.chance(EXTENDED), twice: true };
  let killed: Recovered | undefined;
  let seconds = 0;
  for (const index of sample(choices.count, size, random)) {
    if (isDone(options, tally)) break;
    const choice = choices.at(index);
    const brief = !random.chance(EXTENDED);
    const twice = random.chance(SECOND_CRASHES) && seconds++ < SECOND_CRASHES_MAX;
    const killedFirst = twice && random.chance(KILLED_FIRST);
    const state: CrashState = { point, choice, brief, twice: twice && !killedFirst };
    const recovered = await tryState(tried, state);
    if (state.twice === true && recovered !== undefined) await trySecond(tried, state, recovered);
    recovered?.disk.release();
    if (killedFirst) killed ??= await recoverFrom(tried, kill);
    if (killedFirst && killed !== undefined) await trySecond(tried, kill, killed);
  }
  killed?.disk.release();
}

/** How many of the `count` states of an event are tried. */
function sampleSize(count: number, { perSequence, perPoint }: CampaignOptions): number {
  if (perSequence !== undefined) return 1;
  return count <= FEW_STATES ? count : perPoint;
}

async function recordOrReport(workload: Workload, tally: Tally): Promise<Recording | undefined> {
  try {
    const recording = await record(workload);
    const [hazard] = recording.disk.hazards();
    if (hazard === undefined) return recording;
    report(workload, 'run', hazard, tally);
    return recording;
  } catch (error) {
    const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
    report(workload, 'run', `without any crash: ${message}`, tally);
    return undefined;
  }
}

async function tryState(tried: Tried, state: CrashState): Promise<Recovered | undefined> {
  const { progress, tally } = tried;
  const recovered = await recoverFrom(tried, state);
  tally.states++;
  progress.states(tally);
  return recovered;
}

/** @returns undefined when the state is known, or wrong, which is reported. */
async function recoverFrom(
  { recording, tally, progress, known }: Tried,
  state: CrashState,
  first?: Recovered,
): Promise<Recovered | undefined> {
  progress.begin(recording.workload, state);
  const verdict = await checkState(recording, state, first, known);
  if (verdict.known !== true) {
    tally.opened++;
    await letFinalizersRun(tally);
  }
  const { violation, recovered } = verdict;
  if (violation !== undefined) report(recording.workload, formatState(state), violation, tally);
  return recovered;
}

/** Crashes the recovery of a state once more, at one of its events. */
async function trySecond(tried: Tried, state: CrashState, first: Recovered): Promise<void> {
  const { random, tally } = tried;
  const point = random.below(first.closed + 1);
  const choices = choicesAt(first.disk, point, random, 4);
  const choice = choices.at(random.below(choices.count));
  const both: CrashState = { ...state, twice: false, second: { point, choice } };
  const recovered = await recoverFrom(tried, both, first);
  recovered?.disk.release();
  tally.states++;
}

/**
 * Finalizers of native objects run in the event loop, which a simulated store never enters: without
 * a turn now and then a megabyte per state would pile up.
 */
async function letFinalizersRun(tally: Tally): Promise<void> {
  if (tally.opened % STATES_PER_TURN === 0) await new Promise((resolve) => setImmediate(resolve));
}

function report(workload: Workload, state: string, message: string, tally: Tally): void {
  const description = describeWorkload(workload);
  tally.violations.push({ workload: workload.name, description, state, message });
}

/**
 * At most `size` of the numbers below `count`, evenly chosen, in their order. Source: Floyd's algorithm,
 * in Bentley, Programming Pearls: A sample of brilliance, CACM 30(9), 1987.
 */
function sample(count: number, size: number, random: SeededRandom): number[] {
  if (size >= count) return Array.from({ length: count }, (_, index) => index);
  const chosen = new Set<number>();
  for (let last = count - size; last < count; last++) {
    const index = random.below(last + 1);
    chosen.add(chosen.has(index) ? last : index);
  }
  return [...chosen].sort((left, right) => left - right);
}
