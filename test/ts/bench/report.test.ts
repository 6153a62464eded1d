import assert from 'node:assert/strict';
import { mountOf, type MachineFacts } from '../../../bench/machine.js';
import { parseOptions, UsageError } from '../../../bench/options.js';
import { escapeHtml, jsonDocument, renderReport, type BenchResult } from '../../../bench/report.js';
import { compare, compareWithPeers } from '../../../bench/rows/compare.js';
import { progress, skippedRow, verdict, type RowResult } from '../../../bench/rows/result.js';
import { figure, renderTable, summary } from '../../../bench/table.js';

const row = (change: Partial<RowResult>): RowResult => ({
  group: 'cold-get',
  name: 'cold get <4 KiB>',
  configuration: 'fio --rw=randread',
  unit: 'gets/s',
  value: { median: 80_000, min: 70_000, max: 90_000 },
  latency: { p50: 90, p99: 250, p999: 1000 },
  yardstick: 'fio',
  yardstickValue: 84_000,
  yardstickLatency: { p50: 80, p99: 240, p999: 900 },
  ratio: { median: 0.95, min: 0.9, max: 1 },
  pairs: [0.9, 0.95, 1],
  goal: { kind: 'ratio', atLeast: 0.95 },
  notes: ['read the device'],
  ...change,
});

const bound = (median: number): RowResult =>
  row({
    name: 'reopen',
    unit: 'ms',
    value: { median, min: median, max: median },
    yardstick: '',
    yardstickValue: null,
    ratio: null,
    pairs: [],
    goal: { kind: 'bound', atMost: 1000 },
  });

const ratioOf = (median: number): RowResult => row({ ratio: { median, min: median, max: median } });

const MACHINE: MachineFacts = {
  kernel: 'Linux 6.1',
  cpu: 'a CPU',
  memory: '1 GiB',
  fileSystem: 'ext4',
  device: 'vda',
  writeCache: 'write back',
  limits: 'none',
  node: 'v20',
  engine: 'cairn 0',
  tools: 'fio-3.33',
  date: '2026-01-01T00:00:00.000Z',
};

const RESULT: BenchResult = {
  mode: 'quick',
  command: 'npm run bench -- --quick',
  rounds: 3,
  sliceMilliseconds: 600,
  seconds: 12,
  machine: MACHINE,
  rows: [row({}), bound(1200), skippedRow('hot-get', 'peer', 'gets/s', 'lmdb', null, '</script>')],
};

describe('bench goals', () => {
  it('are met at the ratio, nearly met within 0.05 of it and missed below', () => {
    assert.equal(verdict(ratioOf(0.95)), 'met');
    assert.equal(verdict(ratioOf(0.91)), 'gate');
    assert.equal(verdict(ratioOf(0.89)), 'missed');
    assert.equal(verdict(row({ goal: null })), 'none');
    assert.equal(verdict(ratioOf(Number.NaN)), 'none');
  });

  it('are met up to a bound, without a margin', () => {
    assert.equal(verdict(bound(1000)), 'met');
    assert.equal(verdict(bound(1001)), 'missed');
    assert.equal(progress(bound(2000)), 0.5);
  });

  it('are not judged where nothing was measured', () => {
    const skipped = skippedRow('g', 'n', 'u', 'fio', { kind: 'ratio', atLeast: 1 }, 'no fio');
    assert.equal(verdict(skipped), 'none');
    assert.equal(progress(skipped), null);
  });
});

describe('bench comparison', () => {
  const sample = (value: number) => ({ value });
  const measured = {
    samples: new Map([
      ['cairn', [sample(100), sample(120)]],
      ['slow', [sample(10), sample(10)]],
      ['fast', [sample(50), sample(40)]],
      ['fio', [sample(100), sample(100), sample(140)]],
    ]),
  };
  const base = {
    group: 'g',
    name: 'n',
    configuration: 'c',
    unit: 'u',
    subject: 'cairn',
    goal: { kind: 'ratio', atLeast: 2 } as const,
  };

  it('brackets a yardstick that ran around the turns', () => {
    const result = compare(measured, { ...base, yardstick: 'fio', bracketed: true });
    assert.deepEqual(result.pairs, [1, 1]);
    assert.equal(result.yardstickValue, 100);
    assert.equal(result.value?.median, 110);
  });

  it('holds the goal against the fastest peer and shows the others', () => {
    const rows = compareWithPeers(measured, ['slow', 'fast'], base);
    assert.deepEqual(
      rows.map((one) => [one.yardstick, one.goal]),
      [
        ['slow', null],
        ['fast', base.goal],
      ],
    );
    assert.deepEqual(rows[1]?.pairs, [2, 3]);
  });
});

describe('bench table', () => {
  it('writes figures with the digits that matter', () => {
    assert.deepEqual(
      [0.1234, 4.567, 78.94, 123.4, 78_940, 1_234_567, 2e9, Number.NaN].map(figure),
      ['0.12', '4.57', '78.9', '123', '78.9 k', '1.23 M', '2.00 G', '-'],
    );
  });

  it('shows value, yardstick, ratio, goal, mark and the notes', () => {
    const text = renderTable(RESULT.rows);
    for (const wanted of [
      '80.0 k gets/s',
      'fio',
      '84.0 k',
      '0.95',
      '>= 0.95',
      'yes',
      '1: read the device',
    ]) {
      assert.ok(text.includes(wanted), wanted);
    }
    assert.match(text, /<= 1\.00 k/);
    assert.match(text, /skipped/);
  });

  it('counts the goals', () => {
    assert.equal(summary(RESULT.rows), '1 of 2 goals met, 0 within 0.05, 1 missed');
  });
});

describe('bench report', () => {
  it('is one file: plots inside, nothing from outside', async () => {
    const html = await renderReport(RESULT);
    assert.match(html, /^<!doctype html>/);
    assert.ok((html.match(/<svg/g) ?? []).length >= 3);
    const withoutNamespaces = html.replace(/xmlns(:xlink)?="[^"]*"/g, '');
    assert.doesNotMatch(
      withoutNamespaces,
      /<(link|img|iframe)\b|src=|href="http|url\(http|@import/,
    );
    assert.match(html, /ext4/);
    assert.match(html, /write back/);
  });

  it('escapes what it is given', async () => {
    assert.equal(escapeHtml(`<a b="c">&'`), '&lt;a b=&quot;c&quot;&gt;&amp;&#39;');
    const html = await renderReport(RESULT);
    assert.match(html, /cold get &lt;4 KiB&gt;/);
    assert.equal(html.match(/<\/script>/g)?.length, 1);
  });

  it('carries the JSON document, which reads back', async () => {
    const html = await renderReport(RESULT);
    const data = /id="result">(.*)<\/script>/.exec(html)?.[1] ?? '';
    const document = JSON.parse(data) as { rows: { row: string; met: boolean | null }[] };
    assert.deepEqual(
      document.rows.map((one) => one.met),
      [true, false, null],
    );
    assert.deepEqual(document, JSON.parse(JSON.stringify(jsonDocument(RESULT))));
  });
});

describe('bench command line', () => {
  it('takes its options with and without the separator that npm leaves', () => {
    const options = parseOptions([
      '--',
      '--quick',
      '--only',
      'cold-get,reopen',
      '--rounds',
      '7',
      '--json',
    ]);
    assert.equal(options?.quick, true);
    assert.equal(options?.json, true);
    assert.equal(options?.rounds, 7);
    assert.deepEqual(options?.only, ['cold-get', 'reopen']);
    assert.equal(parseOptions([])?.quick, false);
    assert.equal(parseOptions(['--help']), null);
  });

  it('refuses rows, rounds and options that there are not', () => {
    for (const argv of [
      ['--only', 'warm-get'],
      ['--rounds', '0'],
      ['--rounds', 'x'],
      ['--fast'],
      ['stray'],
    ]) {
      assert.throws(() => parseOptions(argv), UsageError);
    }
  });
});

describe('bench machine facts', () => {
  it('finds the mount a path lies under', () => {
    const table = [
      '/dev/a / ext4 rw 0 0',
      'tmpfs /tmp tmpfs rw,nosuid 0 0',
      '/dev/b /tmpfiles xfs rw 0 0',
    ].join('\n');
    assert.equal(mountOf(table, '/tmp/x')?.type, 'tmpfs');
    assert.equal(mountOf(table, '/tmpfiles/x')?.type, 'xfs');
    assert.equal(mountOf(table, '/home')?.type, 'ext4');
    assert.equal(mountOf('', '/home'), null);
  });
});
