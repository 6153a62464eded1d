import Table from 'cli-table3';
import { verdict, type RowResult, type Verdict } from './rows/result.js';

const SUFFIXES = [
  { size: 1e9, text: ' G' },
  { size: 1e6, text: ' M' },
  { size: 1e3, text: ' k' },
] as const;

/** Three digits that matter: 0.0123, 4.56, 78.9 k, 1.23 M. */
export function figure(value: number): string {
  if (!Number.isFinite(value)) return '-';
  const suffix = SUFFIXES.find((one) => Math.abs(value) >= one.size);
  const scaled = suffix === undefined ? value : value / suffix.size;
  const digits = Math.abs(scaled) >= 100 ? 0 : Math.abs(scaled) >= 10 ? 1 : 2;
  return scaled.toFixed(digits) + (suffix?.text ?? '');
}

export function goalText(row: RowResult): string {
  if (row.goal === null) return '';
  if (row.goal.kind === 'bound') return `<= ${figure(row.goal.atMost)}`;
  return `>= ${row.goal.atLeast.toFixed(2)}`;
}

export function ratioText(row: RowResult): string {
  return row.ratio === null ? '' : row.ratio.median.toFixed(2);
}

export function spreadText(row: RowResult): string {
  const spread = row.ratio ?? row.value;
  if (spread === null) return '';
  const text = row.ratio === null ? figure : (value: number): string => value.toFixed(2);
  return `${text(spread.min)} - ${text(spread.max)}`;
}

export const MARKS: Readonly<Record<Verdict, string>> = {
  met: 'yes',
  gate: 'within 0.05',
  missed: 'no',
  none: '',
};

export function latencyText(row: RowResult): string {
  if (row.latency === null) return '';
  const { p50, p99, p999 } = row.latency;
  return [p50, p99, p999].map((value) => figure(value)).join(' / ');
}

/** The table for a terminal; notes follow it, numbered by row. */
export function renderTable(rows: readonly RowResult[]): string {
  const table = new Table({
    head: [
      '',
      'what',
      'cairn',
      'beside',
      'its value',
      'ratio',
      'spread',
      'goal',
      'met',
      'us p50/p99/p99.9',
    ],
    style: { head: [], border: [], compact: true },
    colAligns: [
      'right',
      'left',
      'right',
      'left',
      'right',
      'right',
      'right',
      'right',
      'left',
      'right',
    ],
  });
  rows.forEach((row, i) => {
    table.push([
      String(i + 1),
      row.name,
      row.value === null ? 'skipped' : `${figure(row.value.median)} ${row.unit}`,
      row.yardstick,
      row.yardstickValue === null ? '' : figure(row.yardstickValue),
      ratioText(row),
      spreadText(row),
      goalText(row),
      MARKS[verdict(row)],
      latencyText(row),
    ]);
  });
  const notes = rows.flatMap((row, i) => row.notes.map((note) => `${i + 1}: ${note}`));
  return [table.toString(), ...notes].join('\n');
}

/** One line for the end: how many goals are reached. */
export function summary(rows: readonly RowResult[]): string {
  const counts = { met: 0, gate: 0, missed: 0, none: 0 };
  for (const row of rows) counts[verdict(row)] += 1;
  const goals = counts.met + counts.gate + counts.missed;
  return `${counts.met} of ${goals} goals met, ${counts.gate} within 0.05, ${counts.missed} missed`;
}
