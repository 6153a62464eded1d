import type { TopLevelSpec } from 'vega-lite';
import { progress, verdict, type RowResult } from './rows/result.js';

const WIDTH = 640;
const STEP = 22;
const COLORS = { met: '#2a7f4f', gate: '#b8860b', missed: '#b3362c', none: '#6b7280' };
const CONFIG = {
  font: 'system-ui, sans-serif',
  axis: { labelFontSize: 11, titleFontSize: 11, labelLimit: 520, grid: true },
  view: { stroke: '#d0d5dd' },
} as const;

const label = (row: RowResult): string =>
  row.yardstick === '' ? row.name : `${row.name} : ${row.yardstick}`;

function base(title: string): Pick<TopLevelSpec, '$schema' | 'title' | 'config' | 'background'> {
  return {
    $schema: 'https://vega.github.io/schema/vega-lite/v5.json',
    title: { text: title, anchor: 'start', fontSize: 13 },
    config: CONFIG,
    background: 'white',
  };
}

const yOf = (rows: readonly RowResult[]) =>
  ({ field: 'row', type: 'nominal', title: null, sort: rows.map(label) }) as const;

/** Bars from 1, the goal, to where the row stands; a logarithm, because goals are factors. */
export function goalChart(all: readonly RowResult[]): TopLevelSpec | null {
  const rows = all.filter((row) => Number.isFinite(progress(row) ?? Number.NaN));
  if (rows.length === 0) return null;
  const values = rows.map((row) => ({
    row: label(row),
    progress: progress(row),
    goal: 1,
    verdict: verdict(row),
  }));
  return {
    ...base('On the way to the goal (1 = reached; right of it is better)'),
    width: WIDTH,
    height: { step: STEP },
    data: { values },
    layer: [
      {
        mark: { type: 'bar', height: 12 },
        encoding: {
          y: yOf(rows),
          x: { field: 'progress', type: 'quantitative', scale: { type: 'log' }, title: null },
          x2: { field: 'goal' },
          color: {
            field: 'verdict',
            type: 'nominal',
            title: null,
            scale: { domain: Object.keys(COLORS), range: Object.values(COLORS) },
            legend: null,
          },
        },
      },
      {
        mark: { type: 'rule', color: '#111827', strokeWidth: 1.5 },
        encoding: { x: { datum: 1 } },
      },
    ],
  };
}

/** Every turn's ratio as a dot, the goal as a tick: the spread is the honesty of a median. */
export function spreadChart(all: readonly RowResult[]): TopLevelSpec | null {
  const rows = all.filter((row) => row.pairs.some((ratio) => ratio > 0));
  if (rows.length === 0) return null;
  const dots = rows.flatMap((row) => row.pairs.map((ratio) => ({ row: label(row), ratio })));
  const goals = rows.flatMap((row) =>
    row.goal?.kind === 'ratio' ? [{ row: label(row), goal: row.goal.atLeast }] : [],
  );
  return {
    ...base('Ratio of every turn (dots), median (bar), goal (tick)'),
    width: WIDTH,
    height: { step: STEP },
    layer: [
      {
        data: { values: dots },
        mark: { type: 'point', filled: true, opacity: 0.55, size: 45, color: '#2563eb' },
        encoding: {
          y: yOf(rows),
          x: { field: 'ratio', type: 'quantitative', scale: { type: 'log' }, title: null },
        },
      },
      {
        data: { values: dots },
        mark: { type: 'tick', thickness: 3, color: '#1e3a8a' },
        encoding: {
          y: yOf(rows),
          x: { aggregate: 'median', field: 'ratio', type: 'quantitative' },
        },
      },
      {
        data: { values: goals },
        mark: { type: 'tick', thickness: 2, color: '#b3362c' },
        encoding: { y: yOf(rows), x: { field: 'goal', type: 'quantitative' } },
      },
    ],
  };
}

/** p50, p99 and p99.9 of cairn and of what it is compared with. */
export function latencyChart(all: readonly RowResult[]): TopLevelSpec | null {
  const values: { row: string; who: string; quantile: string; us: number }[] = [];
  const add = (name: string, who: string, latency: RowResult['latency']): void => {
    if (latency === null) return;
    const points = { p50: latency.p50, p99: latency.p99, 'p99.9': latency.p999 };
    for (const [quantile, us] of Object.entries(points)) {
      if (us > 0) values.push({ row: name, who, quantile, us });
    }
  };
  const seen = new Set<string>();
  for (const row of all) {
    if (!seen.has(row.name)) add(row.name, 'cairn', row.latency);
    seen.add(row.name);
    if (row.yardstick !== '') add(row.name, row.yardstick, row.yardstickLatency);
  }
  if (values.length === 0) return null;
  return {
    ...base('Latency, microseconds'),
    width: WIDTH,
    height: { step: STEP },
    data: { values },
    mark: { type: 'point', filled: true, size: 55, opacity: 0.8 },
    encoding: {
      y: { field: 'row', type: 'nominal', title: null, sort: [...seen] },
      x: { field: 'us', type: 'quantitative', scale: { type: 'log' }, title: null },
      color: { field: 'who', type: 'nominal', title: null },
      shape: { field: 'quantile', type: 'nominal', title: null, sort: ['p50', 'p99', 'p99.9'] },
    },
  };
}

async function drawingPackages() {
  try {
    return { vega: await import('vega'), vegaLite: await import('vega-lite') };
  } catch {
    return null;
  }
}

/** Renders without a browser; null where the drawing packages are not installed. */
export async function renderSvg(spec: TopLevelSpec): Promise<string | null> {
  const packages = await drawingPackages();
  if (packages === null) return null;
  const { vega, vegaLite } = packages;
  const view = new vega.View(vega.parse(vegaLite.compile(spec).spec), { renderer: 'none' });
  try {
    return await view.toSVG();
  } finally {
    // Or its timers keep the process.
    view.finalize();
  }
}
