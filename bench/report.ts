import type { TopLevelSpec } from 'vega-lite';
import { goalChart, latencyChart, renderSvg, spreadChart } from './charts.js';
import type { MachineFacts } from './machine.js';
import { verdict, type RowResult } from './rows/result.js';
import { figure, goalText, latencyText, MARKS, ratioText, spreadText, summary } from './table.js';

export interface BenchResult {
  readonly mode: 'quick' | 'full';
  readonly command: string;
  readonly rounds: number;
  readonly sliceMilliseconds: number;
  readonly seconds: number;
  readonly machine: MachineFacts;
  readonly rows: readonly RowResult[];
}

const ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => ESCAPES[character] ?? character);
}

const STYLE = `
:root { color-scheme: light; font: 14px/1.45 system-ui, sans-serif; color: #111827; }
body { margin: 2rem auto; max-width: 1200px; padding: 0 1rem; background: #fff; }
h1 { font-size: 1.5rem; margin-bottom: .25rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #e5e7eb; vertical-align: top; }
th { font-weight: 600; white-space: nowrap; } td.n { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
.met { color: #2a7f4f; } .gate { color: #b8860b; } .missed { color: #b3362c; } .none { color: #6b7280; }
small, details { color: #4b5563; } summary { cursor: pointer; } code { font-size: 12px; overflow-wrap: anywhere; }
svg { max-width: 100%; height: auto; }
`;

function rowHtml(row: RowResult, index: number): string {
  const cell = (text: string): string => `<td class="n">${escapeHtml(text)}</td>`;
  const notes = row.notes.map((note) => `<br><small>${escapeHtml(note)}</small>`).join('');
  const value = row.value === null ? 'skipped' : `${figure(row.value.median)} ${row.unit}`;
  const mark = verdict(row);
  return (
    `<tr><td class="n">${index + 1}</td><td>${escapeHtml(row.name)}${notes}` +
    `<details><summary>how</summary><code>${escapeHtml(row.configuration)}</code></details></td>` +
    cell(value) +
    `<td>${escapeHtml(row.yardstick)}</td>` +
    cell(row.yardstickValue === null ? '' : figure(row.yardstickValue)) +
    cell(ratioText(row)) +
    cell(spreadText(row)) +
    cell(goalText(row)) +
    `<td class="${mark}">${escapeHtml(MARKS[mark])}</td>` +
    cell(latencyText(row)) +
    '</tr>'
  );
}

function factsHtml(result: BenchResult): string {
  const facts: readonly (readonly [string, string])[] = [
    ['command', result.command],
    ['date', result.machine.date],
    ['kernel', result.machine.kernel],
    ['CPU', result.machine.cpu],
    ['memory', result.machine.memory],
    ['file system', result.machine.fileSystem],
    ['device', result.machine.device],
    ['device write cache', result.machine.writeCache],
    ['limits', result.machine.limits],
    ['Node.js', result.machine.node],
    ['engines', result.machine.engine],
    ['tools', result.machine.tools],
    [
      'durability',
      'equal in every row and said there; acknowledged means durable where a row says so',
    ],
    [
      'turns',
      `${result.rounds} of ${result.sliceMilliseconds} ms each, yardstick - engines - yardstick; ` +
        'a ratio is the median over the turns, its spread the least and the greatest; none is ' +
        'dropped; warm-up as each row says',
    ],
    ['duration', `${result.seconds.toFixed(0)} s`],
  ];
  const lines = facts.map(
    ([name, value]) => `<tr><th>${escapeHtml(name)}</th><td>${escapeHtml(value)}</td></tr>`,
  );
  return `<table>${lines.join('')}</table>`;
}

async function chartsHtml(rows: readonly RowResult[]): Promise<string> {
  const specs = [goalChart(rows), spreadChart(rows), latencyChart(rows)];
  const drawn: string[] = [];
  for (const spec of specs.filter((one): one is TopLevelSpec => one !== null)) {
    const svg = await renderSvg(spec);
    if (svg === null) return '<p>Plots need the packages vega and vega-lite.</p>';
    drawn.push(`<figure>${svg}</figure>`);
  }
  return drawn.join('\n');
}

/** One file with nothing outside it. */
export async function renderReport(result: BenchResult): Promise<string> {
  const head = ['', 'what', 'cairn', 'beside', 'its value', 'ratio', 'spread', 'goal', 'met'];
  head.push('us p50 / p99 / p99.9');
  // Inside a script element only "</" could end it early.
  const data = JSON.stringify(jsonDocument(result)).replaceAll('</', '<\\/');
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>cairn benchmark</title><style>${STYLE}</style></head><body>
<h1>cairn benchmark, ${result.mode} mode</h1>
<p>${escapeHtml(summary(result.rows))}. A ratio is cairn over its yardstick in the same run.</p>
<div class="scroll"><table><thead><tr>${head.map((text) => `<th>${text}</th>`).join('')}</tr></thead>
<tbody>${result.rows.map(rowHtml).join('\n')}</tbody></table></div>
<h2>Plots</h2>
${await chartsHtml(result.rows)}
<h2>Machine and method</h2>
${factsHtml(result)}
<script type="application/json" id="result">${data}</script>
</body></html>
`;
}

/** What `--json` prints. */
export function jsonDocument(result: BenchResult): Readonly<Record<string, unknown>> {
  return {
    ...result,
    summary: summary(result.rows),
    rows: result.rows.map((row) => ({
      row: row.name,
      group: row.group,
      configuration: row.configuration,
      unit: row.unit,
      value: row.value?.median ?? null,
      yardstick: row.yardstick === '' ? null : row.yardstick,
      yardstickValue: row.yardstickValue,
      ratio: row.ratio?.median ?? null,
      goal: row.goal,
      met: met(row),
      withinGate: verdict(row) === 'gate',
      spread: { value: row.value, ratio: row.ratio, pairs: row.pairs },
      latencyMicroseconds: row.latency,
      yardstickLatencyMicroseconds: row.yardstickLatency,
      notes: row.notes,
    })),
  };
}

function met(row: RowResult): boolean | null {
  const mark = verdict(row);
  return mark === 'none' ? null : mark === 'met';
}
