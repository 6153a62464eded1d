import type { Latency, Spread } from '../measure.js';

/** How a figure has to stand to its goal: a share of a yardstick, or a bound of its own. */
export type Goal =
  | { readonly kind: 'ratio'; readonly atLeast: number }
  | { readonly kind: 'bound'; readonly atMost: number };

export type Verdict =
  /** The goal is reached. */
  | 'met'
  /** Within 0.05 of it: the gate that drift allows. */
  | 'gate'
  | 'missed'
  /** Shown for comparison only, or could not be measured. */
  | 'none';

/** One line of the table: a measurement beside one yardstick. */
export interface RowResult {
  /** Name of the row group, what `--only` takes. */
  readonly group: string;
  readonly name: string;
  /** Everything that was chosen: data set, durability, flags, warm-up. */
  readonly configuration: string;
  readonly unit: string;
  readonly value: Spread | null;
  readonly latency: Latency | null;
  /** What it is compared with; empty for a bound. */
  readonly yardstick: string;
  readonly yardstickValue: number | null;
  readonly yardstickLatency: Latency | null;
  /** Over the turns: value / yardstick. */
  readonly ratio: Spread | null;
  /** The ratio of every turn, in order. */
  readonly pairs: readonly number[];
  readonly goal: Goal | null;
  readonly notes: readonly string[];
}

export const GATE_MARGIN = 0.05;

export function verdict(row: RowResult): Verdict {
  if (row.goal === null) return 'none';
  if (row.goal.kind === 'bound') {
    if (row.value === null) return 'none';
    return row.value.median <= row.goal.atMost ? 'met' : 'missed';
  }
  if (row.ratio === null || Number.isNaN(row.ratio.median)) return 'none';
  if (row.ratio.median >= row.goal.atLeast) return 'met';
  return row.ratio.median >= row.goal.atLeast - GATE_MARGIN ? 'gate' : 'missed';
}

/** How far a figure is on the way to its goal: 1 is reached, whatever the direction. */
export function progress(row: RowResult): number | null {
  if (row.goal === null) return null;
  if (row.goal.kind === 'bound') {
    return row.value === null ? null : row.goal.atMost / row.value.median;
  }
  return row.ratio === null ? null : row.ratio.median / row.goal.atLeast;
}

/** A line for what was not measured, with the reason as its only note. */
export function skippedRow(
  group: string,
  name: string,
  unit: string,
  yardstick: string,
  goal: Goal | null,
  reason: string,
): RowResult {
  return {
    group,
    name,
    configuration: 'not measured',
    unit,
    value: null,
    latency: null,
    yardstick,
    yardstickValue: null,
    yardstickLatency: null,
    ratio: null,
    pairs: [],
    goal,
    notes: [reason],
  };
}

const FAILED = 'FAILED: ';

/** A row that could not be measured although it should have been: the run ends with an error code. */
export function failedRow(group: string, error: unknown): RowResult {
  const reason = error instanceof Error ? error.message : String(error);
  return skippedRow(group, `${group} (failed)`, '', '', null, FAILED + reason);
}

export function hasFailed(row: RowResult): boolean {
  return row.notes.some((note) => note.startsWith(FAILED));
}
