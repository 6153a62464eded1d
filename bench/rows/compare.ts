import {
  bracketedRatios,
  median,
  medianLatency,
  pairedRatios,
  spread,
  valuesOf,
  type Interleaved,
} from '../measure.js';
import type { Goal, RowResult } from './result.js';

export interface Comparison {
  readonly group: string;
  readonly name: string;
  readonly configuration: string;
  readonly unit: string;
  /** Names of contenders in the measurement. */
  readonly subject: string;
  readonly yardstick: string;
  /** Did the yardstick run before and after every turn, or once in it? */
  readonly bracketed: boolean;
  readonly goal: Goal | null;
  readonly notes?: readonly string[];
}

export function compare(measured: Interleaved, one: Comparison): RowResult {
  const subject = valuesOf(measured, one.subject);
  const yardstick = valuesOf(measured, one.yardstick);
  const pairs = one.bracketed
    ? bracketedRatios(subject, yardstick)
    : pairedRatios(subject, yardstick);
  return {
    group: one.group,
    name: one.name,
    configuration: one.configuration,
    unit: one.unit,
    value: spread(subject),
    latency: medianLatency(measured.samples.get(one.subject) ?? []) ?? null,
    yardstick: one.yardstick,
    yardstickValue: median(yardstick),
    yardstickLatency: medianLatency(measured.samples.get(one.yardstick) ?? []) ?? null,
    ratio: spread(pairs),
    pairs,
    goal: one.goal,
    notes: one.notes ?? [],
  };
}

/** One line for each peer; the goal is about the fastest of them. */
export function compareWithPeers(
  measured: Interleaved,
  peers: readonly string[],
  one: Omit<Comparison, 'yardstick' | 'bracketed'>,
): RowResult[] {
  const speeds = peers.map((peer) => median(valuesOf(measured, peer)));
  const fastest = peers[speeds.indexOf(Math.max(...speeds))];
  return peers.map((peer) =>
    compare(measured, {
      ...one,
      yardstick: peer,
      bracketed: false,
      goal: peer === fastest ? one.goal : null,
    }),
  );
}

/** A figure with a bound of its own and no yardstick. */
export function bounded(
  one: Omit<Comparison, 'subject' | 'yardstick' | 'bracketed'>,
  values: readonly number[],
): RowResult {
  return {
    group: one.group,
    name: one.name,
    configuration: one.configuration,
    unit: one.unit,
    value: spread(values),
    latency: null,
    yardstick: '',
    yardstickValue: null,
    yardstickLatency: null,
    ratio: null,
    pairs: [],
    goal: one.goal,
    notes: one.notes ?? [],
  };
}

/** The median over a contender's turns of something it noted besides its value. */
export function medianExtra(measured: Interleaved, contender: string, name: string): number {
  const samples = measured.samples.get(contender) ?? [];
  return median(samples.map((sample) => sample.extra?.[name] ?? Number.NaN));
}
