// The crash campaign: workloads on a simulated disk, every legal state after a power cut at every
// event, recovery from it compared with what the caller had been told.
//
//   npm run test:crash -- --states 1000000 --seed 7
//   npm run test:crash -- --replay r7000012@41:mask:5:512
//
// Progress goes to stderr; the last line is 'N passed, N failed', counted in states.
import { spawn } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { runCampaign } from './campaign.js';
import type { CampaignOptions, Tally, Violation } from './campaign.js';
import { checkState, parseState } from './enumerator.js';
import { record } from './recording.js';
import { describeWorkload, workloadByName } from './workload.js';

/** A worker that says nothing for so long hangs. */
const SILENCE_MS = 60_000;
const REPORT_EVERY_MS = 1000;

const USAGE = `Options:
  --states N      states to try (default 200000)
  --seed S        of the workloads (default 1)
  --per-point N   states tried at one event, 'all' for every one (default 16)
  --workers N     processes (default: one per processor)
  --workload W    only this workload, for example r7000012 or e3.411
  --replay T      one state: workload@point:choice:number:sectorBytes[/second crash]
`;

/** What a worker prints, one JSON document per line. */
type Message =
  | { readonly type: 'workload'; readonly name: string }
  | { readonly type: 'states'; readonly states: number; readonly workloads: number }
  | { readonly type: 'violation'; readonly violation: Violation }
  | { readonly type: 'end' };

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      states: { type: 'string', default: '200000' },
      seed: { type: 'string', default: '1' },
      'per-point': { type: 'string', default: '16' },
      workers: { type: 'string', default: String(availableParallelism()) },
      workload: { type: 'string' },
      replay: { type: 'string' },
      worker: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(USAGE);
    return 0;
  }
  if (values.replay !== undefined) return replay(values.replay);
  const perPoint =
    values['per-point'] === 'all' ? Number.POSITIVE_INFINITY : integer(values['per-point']);
  const only = values.workload === undefined ? undefined : workloadByName(values.workload);
  const workers = only === undefined ? Math.max(1, integer(values.workers)) : 1;
  const options: CampaignOptions = {
    seed: integer(values.seed),
    states: Math.ceil(integer(values.states) / workers),
    perPoint,
    worker: 0,
    workers,
    only,
  };
  if (values.worker !== undefined) {
    return work({ ...options, states: integer(values.states), worker: integer(values.worker) });
  }
  const began = performance.now();
  const totals = await Promise.all(
    Array.from({ length: workers }, (_, worker) => superviseWorker(options, worker, values)),
  );
  const states = totals.reduce((sum, total) => sum + total.states, 0);
  const workloads = totals.reduce((sum, total) => sum + total.workloads, 0);
  const failed = totals.reduce((sum, total) => sum + total.violations.length, 0);
  const seconds = (performance.now() - began) / 1000;
  process.stderr.write(
    `crash: ${states} states of ${workloads} workloads in ${seconds.toFixed(1)} s, ` +
      `${Math.round(states / seconds)} per second\n`,
  );
  process.stdout.write(`${Math.max(0, states - failed)} passed, ${failed} failed\n`);
  return failed === 0 && states > 0 ? 0 : 1;
}

function integer(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`not a count: ${text}`);
  return value;
}

async function replay(token: string): Promise<number> {
  const [name = '', state = ''] = token.split('@');
  const workload = workloadByName(name);
  process.stderr.write(`${describeWorkload(workload)}\n`);
  const recording = await record(workload);
  process.stderr.write(recording.disk.operations());
  for (const hazard of recording.disk.hazards()) process.stderr.write(`hazard: ${hazard}\n`);
  if (state === 'run') return 0;
  const parsed = parseState(state);
  const { least, most } = recording.oracle.bounds(parsed.point, false);
  process.stderr.write(`after event ${parsed.point}: ${least} writes durable, ${most} begun\n`);
  const { violation } = await checkState(recording, parsed);
  process.stderr.write(`${violation ?? 'as it should be'}\n`);
  process.stdout.write(violation === undefined ? '1 passed, 0 failed\n' : '0 passed, 1 failed\n');
  return violation === undefined ? 0 : 1;
}

function say(message: Message): void {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}

async function work(options: CampaignOptions): Promise<number> {
  let said = 0;
  let reported = 0;
  const tell = (tally: Tally): void => {
    for (; said < tally.violations.length; said++) {
      const violation = tally.violations[said];
      if (violation !== undefined) say({ type: 'violation', violation });
    }
    say({ type: 'states', states: tally.states, workloads: tally.workloads });
  };
  const tally = await runCampaign(options, {
    begin: (name) => say({ type: 'workload', name }),
    states: (current) => {
      const now = performance.now();
      if (now - reported < REPORT_EVERY_MS && current.violations.length === said) return;
      reported = now;
      tell(current);
    },
  });
  tell(tally);
  say({ type: 'end' });
  return 0;
}

interface Total {
  readonly states: number;
  readonly workloads: number;
  readonly violations: readonly Violation[];
}

function superviseWorker(
  options: CampaignOptions,
  worker: number,
  values: { readonly 'per-point': string; readonly workload?: string | undefined },
): Promise<Total> {
  const args = [
    ...['--import', 'tsx', fileURLToPath(import.meta.url)],
    ...['--worker', String(worker), '--workers', String(options.workers)],
    ...['--seed', String(options.seed), '--states', String(options.states)],
    ...['--per-point', values['per-point']],
    ...(values.workload === undefined ? [] : ['--workload', values.workload]),
  ];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const violations: Violation[] = [];
  let current = 'start';
  let states = 0;
  let workloads = 0;
  let ended = false;
  let silence = setTimeout(giveUp, SILENCE_MS);
  function giveUp(): void {
    process.stderr.write(`crash: worker ${worker} hangs in workload ${current}\n`);
    child.kill('SIGKILL');
  }
  const fail = (violation: Violation): void => {
    violations.push(violation);
    process.stderr.write(
      `\nVIOLATION ${violation.description}\n  ${violation.message}\n` +
        `  npm run test:crash -- --replay ${violation.workload}@${violation.state}\n`,
    );
  };
  createInterface({ input: child.stdout }).on('line', (line) => {
    clearTimeout(silence);
    silence = setTimeout(giveUp, SILENCE_MS);
    const message = JSON.parse(line) as Message;
    switch (message.type) {
      case 'workload':
        current = message.name;
        return;
      case 'states':
        ({ states, workloads } = message);
        process.stderr.write(`crash: worker ${worker}: ${states} states, ${workloads} workloads\n`);
        return;
      case 'violation':
        return fail(message.violation);
      case 'end':
        ended = true;
    }
  });
  return new Promise((resolve) => {
    child.on('close', (status, signal) => {
      clearTimeout(silence);
      if (!ended) {
        const how = signal ?? `exit code ${status ?? 'unknown'}`;
        const message = `the process ended with ${how}, or its work waited for ever`;
        fail({ workload: current, description: `workload ${current}`, state: 'run', message });
      }
      resolve({ states, workloads, violations });
    });
  });
}

process.exitCode = await main();
