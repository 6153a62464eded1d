// The crash campaign: workloads on a simulated disk, every legal state after a power cut at every
// event, recovery from it compared with what the caller had been told.
//
//   npm run test:crash -- --states 1000000 --seed 7
//   npm run test:crash -- --replay r7000012@41:mask:5:512
//
// Progress goes to stderr; the last line is 'N passed, N failed', counted in states.
import { spawn } from 'node:child_process';
import { mkdtempSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { runCampaign } from './campaign.js';
import type { CampaignOptions, Tally, Violation } from './campaign.js';
import { checkState, formatState, parseState } from './enumerator.js';
import { record } from './recording.js';
import { describeWorkload, workloadByName } from './workload.js';

/** A worker that says nothing for so long hangs. */
const SILENCE_MS = 30_000;
const REPORT_EVERY_MS = 1000;

const USAGE = `Options:
  --states N      states to try (default 200000)
  --seed S        of the workloads (default 1)
  --per-point N   states tried at one event, 'all' for every one (default 16)
  --workers N     processes (default: one per processor)
  --workload W    only this workload, for example r7000012 or e3.411
  --replay T      one state: workload@point:choice:number:sectorBytes[/second crash]
`;

/** Longer than any token. */
const POSITION_BYTES = 120;

interface Counts {
  readonly states: number;
  readonly opened: number;
  readonly workloads: number;
}

/** What a worker prints, one JSON document per line. */
type Message =
  | ({ readonly type: 'states' } & Counts)
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
      position: { type: 'string', default: '' },
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
    const own = { ...options, states: integer(values.states), worker: integer(values.worker) };
    return work(own, values.position);
  }
  const began = performance.now();
  const totals = await Promise.all(
    Array.from({ length: workers }, (_, worker) => superviseWorker(options, worker, values)),
  );
  const states = totals.reduce((sum, total) => sum + total.states, 0);
  const opened = totals.reduce((sum, total) => sum + total.opened, 0);
  const workloads = totals.reduce((sum, total) => sum + total.workloads, 0);
  const failed = totals.reduce((sum, total) => sum + total.violations.length, 0);
  const seconds = (performance.now() - began) / 1000;
  process.stderr.write(
    `crash: ${states} states of ${workloads} workloads in ${seconds.toFixed(1)} s ` +
      `(${opened} opened, the others equal to one of these in all that is read), ` +
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

async function work(options: CampaignOptions, positionFile: string): Promise<number> {
  let said = 0;
  let reported = 0;
  const position = openSync(positionFile, 'w');
  const tell = (tally: Tally): void => {
    for (; said < tally.violations.length; said++) {
      const violation = tally.violations[said];
      if (violation !== undefined) say({ type: 'violation', violation });
    }
    const { states, opened, workloads } = tally;
    say({ type: 'states', states, opened, workloads });
  };
  const tally = await runCampaign(options, {
    begin: (workload, state) => {
      // A few microseconds, and whatever hangs or crashes this process can be replayed.
      const token = `${workload.name}@${state === undefined ? 'run' : formatState(state)}`;
      writeSync(position, token.padEnd(POSITION_BYTES), 0);
    },
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

interface Total extends Counts {
  readonly violations: readonly Violation[];
}

async function superviseWorker(
  options: CampaignOptions,
  worker: number,
  values: { readonly 'per-point': string; readonly workload?: string | undefined },
): Promise<Total> {
  const folder = mkdtempSync(join(tmpdir(), 'cairn-crash-'));
  const positionFile = join(folder, 'position');
  const args = [
    ...['--import', 'tsx', fileURLToPath(import.meta.url), '--position', positionFile],
    ...['--worker', String(worker), '--workers', String(options.workers)],
    ...['--seed', String(options.seed), '--states', String(options.states)],
    ...['--per-point', values['per-point']],
    ...(values.workload === undefined ? [] : ['--workload', values.workload]),
  ];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const violations: Violation[] = [];
  let total: Counts = { states: 0, opened: 0, workloads: 0 };
  let ended = false;
  const fail = (violation: Violation): void => {
    violations.push(violation);
    process.stderr.write(
      `\nVIOLATION ${violation.description}\n  ${violation.message}\n` +
        `  npm run test:crash -- --replay ${violation.workload}@${violation.state}\n`,
    );
  };
  const giveUp = (): void => void child.kill('SIGKILL');
  let silence = setTimeout(giveUp, SILENCE_MS);
  createInterface({ input: child.stdout }).on('line', (line) => {
    clearTimeout(silence);
    silence = setTimeout(giveUp, SILENCE_MS);
    const message = JSON.parse(line) as Message;
    if (message.type === 'end') ended = true;
    else if (message.type === 'violation') fail(message.violation);
    else {
      total = message;
      const { states, workloads } = message;
      process.stderr.write(`crash: worker ${worker}: ${states} states, ${workloads} workloads\n`);
    }
  });
  const how = await new Promise<string>((resolve) => {
    child.on('close', (status, signal) => resolve(signal ?? `exit code ${status ?? 'unknown'}`));
  });
  clearTimeout(silence);
  if (!ended) fail(whatHung(positionFile, how));
  rmSync(folder, { recursive: true });
  return { ...total, violations };
}

/** Killed for its silence; or nothing was left to do while a promise was never settled. */
function whatHung(positionFile: string, how: string): Violation {
  let token = '';
  try {
    token = readFileSync(positionFile, 'utf8').trim();
  } catch {
    // It did not come as far as the first workload.
  }
  const [workload = 'start', state = 'run'] = token === '' ? [] : token.split('@');
  const description = token === '' ? 'start' : describeWorkload(workloadByName(workload));
  const message = `the process hung or broke off: ${how}`;
  return { workload, description, state, message };
}

process.exitCode = await main();
