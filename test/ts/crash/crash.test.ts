import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CRASH_WORKLOADS } from '../../support/planted/plant.js';

// Processes of their own: a store that hangs or crashes the process is a finding like any other,
// and two processors are used. `npm run test:crash` runs as many states as one likes.
// scripts/test.mjs runs this file alone: in three minutes two processors try the states when they have
// nothing else to do.
const STATES = 300_000;
const TIMEOUT_MS = 25 * 60_000;

interface Outcome {
  readonly status: number | null;
  readonly summary: string;
  readonly violations: string;
  readonly progress: string;
}

function campaign(args: readonly string[]): Promise<Outcome> {
  const program = fileURLToPath(new URL('../../support/crash/run.ts', import.meta.url));
  const child = spawn(process.execPath, ['--import', 'tsx', program, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let summary = '';
  let progress = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (summary += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (progress += text));
  return new Promise((resolve) => {
    child.on('close', (status) => {
      const violations = progress.slice(Math.max(0, progress.indexOf('VIOLATION')));
      resolve({ status, summary, violations, progress });
    });
  });
}

describe('a power cut or a kill (fault model F1, F2, F3)', function () {
  this.timeout(TIMEOUT_MS);

  it(`leaves a prefix of the writes in each of ${STATES} states, with all acknowledged ones`, async () => {
    const args = ['--states', String(STATES), '--per-point', '2', '--seed', '1'];
    const { status, summary, violations, progress } = await campaign(args);
    assert.equal(status, 0, violations);
    assert.match(summary, /^\d{6,} passed, 0 failed$/m);
    // Planted mistakes are looked for in those.
    const workloads = Number(/in all \d+ of (\d+) workloads/.exec(progress)?.[1]);
    assert.ok(workloads >= CRASH_WORKLOADS, `${workloads} workloads`);
  });

  it('is gone on with where a run was stopped', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'cairn-resume-'));
    const resume = ['--per-point', '2', '--workers', '2', '--resume', join(folder, 'run.json')];
    for (const states of [300, 600]) {
      const { status, summary } = await campaign(['--states', String(states), ...resume]);
      assert.equal(status, 0);
      assert.match(summary, new RegExp(`^${states / 100}\\d\\d passed, 0 failed$`, 'm'));
    }
    const another = await campaign(['--states', '900', '--seed', '2', ...resume]);
    assert.equal(another.status, 2, 'another seed is another campaign');
    rmSync(folder, { recursive: true });
  });

  it('is not tried where the options say something wrong', async () => {
    for (const [options, says] of [
      ['--workload x', /^no workload is called x\nOptions:/],
      ['--replay r1@41:some:5:512', /^not a crash state: 41:some:5:512\nOptions:/],
      ['--per-sequence 2', /^--per-sequence is for --sequences\nOptions:/],
      ['--per-point 0', /^--per-point takes a whole number from 1 on, not '0'\n/],
    ] as const) {
      const { status, progress } = await campaign(options.split(' '));
      assert.equal(status, 2, progress);
      assert.match(progress, says);
    }
  });

  it('is tried in every sequence of one step on every kind of store', async () => {
    const args = ['--sequences', '1', '--per-sequence', '1'];
    const { status, violations, progress } = await campaign(args);
    assert.equal(status, 0, violations);
    assert.match(progress, /in all \d+ of 896 workloads/);
  });

  it('leaves one in every state of the shortest workloads', async () => {
    for (const workload of ['e1.0.0', 'e1.3.15', 'e1.4.34']) {
      const args = ['--workload', workload, '--states', '4000', '--per-point', '64'];
      const { status, violations } = await campaign(args);
      assert.equal(status, 0, violations);
    }
  });
});
