// The processes of a campaign: one per worker, what they say, and where a stopped run goes on.
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { bundleProgram } from '../bundle.js';
import { endWith } from '../options.js';
import type { CampaignOptions, Place, Violation } from './campaign.js';
import type { Message, WorkerOptions } from './messages.js';
import { countUpTo, describeWorkload, workloadByName } from './workload.js';

/**
 * A worker hangs that says nothing while it uses so much processor time, or for so long on the clock:
 * other load stretches the second, not the first.
 */
const SILENCE_CPU_MS = 30_000;
const SILENCE_MS = 600_000;
const WATCH_EVERY_MS = 2000;
const PRINT_EVERY_MS = 5000;
/**
 * There is a worker for each processor: V8's own threads would take it from another one, which made two
 * workers take 1.6 times as long. And a heap that begins small is marked again and again for a few
 * megabytes: with room from the start a tenth less time goes.
 */
const V8_OPTIONS = ['--single-threaded', '--initial-heap-size=400'] as const;
/** USER_HZ, in which the kernel counts for programs. */
const TICKS_PER_SECOND = 100;

/** Of one worker; the file of `--resume` holds one for each. */
interface Report {
  states: number;
  opened: number;
  workloads: number;
  place?: Place | undefined;
  readonly violations: Violation[];
}

/** @returns the exit code. */
export async function supervise(
  options: CampaignOptions,
  resumeFile: string | undefined,
): Promise<number> {
  const reports = loadReports(options, resumeFile);
  const [what, wanted] = goalOf(options);
  const before = { done: sum(reports, what), states: sum(reports, 'states') };
  const began = performance.now();
  const rate = (): number => (sum(reports, 'states') - before.states) / (performance.now() - began);
  let printed = began;
  const onReport = (force: boolean): void => {
    const now = performance.now();
    if (!force && now - printed < PRINT_EVERY_MS) return;
    printed = now;
    saveReports(options, reports, resumeFile);
    const done = sum(reports, what);
    const perMinute = ((done - before.done) * 60_000) / (now - began);
    const minutes = done >= wanted ? 0 : (wanted - done) / perMinute;
    const workloads = what === 'states' ? `${sum(reports, 'workloads')} workloads, ` : '';
    process.stderr.write(
      `crash: ${done} of ${wanted} ${what}, ${workloads}` +
        `${Math.round(1000 * rate())} states per second, ${minutes.toFixed(1)} min left\n`,
    );
  };
  const folder = mkdtempSync(join(tmpdir(), 'cairn-crash-'));
  const program = bundleProgram(new URL('worker.ts', import.meta.url), folder);
  await Promise.all(
    reports.map((report, worker) =>
      superviseWorker(program, { ...options, worker }, report, () => onReport(false)),
    ),
  );
  rmSync(folder, { recursive: true });
  onReport(true);
  const states = sum(reports, 'states');
  const failed = reports.reduce((count, report) => count + report.violations.length, 0);
  const seconds = (performance.now() - began) / 1000;
  process.stderr.write(
    `crash: ${states - before.states} states in ${seconds.toFixed(1)} s, ` +
      `${Math.round(1000 * rate())} per second; in all ${states} of ` +
      `${sum(reports, 'workloads')} workloads (${sum(reports, 'opened')} opened, the others ` +
      `equal to one of these in all that is read)\n`,
  );
  process.stdout.write(`${Math.max(0, states - failed)} passed, ${failed} failed\n`);
  return failed === 0 && states > 0 ? 0 : 1;
}

/** What ends the campaign, and how many. */
function goalOf({ sequences, states, workers }: CampaignOptions): ['states' | 'workloads', number] {
  return sequences === undefined
    ? ['states', states * workers]
    : ['workloads', countUpTo(sequences)];
}

function sum(reports: readonly Report[], name: 'states' | 'opened' | 'workloads'): number {
  return reports.reduce((total, report) => total + report[name], 0);
}

/** What must be the same for the workloads to be. */
function campaignOf(options: CampaignOptions): string {
  const { seed, perPoint, perSequence, workers, sequences } = options;
  const which =
    sequences === undefined ? `seed ${seed}` : `sequences of ${sequences}, seed ${seed}`;
  const tried = perSequence === undefined ? `${perPoint} per point` : `${perSequence} per sequence`;
  return `${which}, ${tried}, ${workers} workers`;
}

function loadReports(options: CampaignOptions, file: string | undefined): Report[] {
  if (file === undefined || !existsSync(file)) {
    return Array.from({ length: options.workers }, () => ({
      ...{ states: 0, opened: 0, workloads: 0 },
      violations: [],
    }));
  }
  const saved = JSON.parse(readFileSync(file, 'utf8')) as { campaign: string; reports: Report[] };
  if (saved.campaign !== campaignOf(options)) {
    endWith(new RangeError(`${file} is of another campaign: ${saved.campaign}`));
  }
  // What was done of a workload that was cut off is done again.
  return saved.reports.map((report) => ({ ...report, ...report.place }));
}

function saveReports(
  options: CampaignOptions,
  reports: readonly Report[],
  file: string | undefined,
): void {
  if (file === undefined) return;
  writeFileSync(`${file}.tmp`, JSON.stringify({ campaign: campaignOf(options), reports }));
  renameSync(`${file}.tmp`, file);
}

async function superviseWorker(
  program: string,
  options: CampaignOptions,
  report: Report,
  onReport: () => void,
): Promise<void> {
  if (report.states >= options.states) return;
  const positionFile = join(dirname(program), `position-${options.worker}`);
  const child = startWorker(program, { ...options, from: report.place }, positionFile);
  let ended = false;
  const fail = (violation: Violation): void => {
    report.violations.push(violation);
    process.stderr.write(
      `\nVIOLATION ${violation.description}\n  ${violation.message}\n` +
        `  npm run test:crash -- --replay ${violation.workload}@${violation.state}\n`,
    );
  };
  const watch = watchSilence(child);
  createInterface({ input: child.stdout as NonNullable<typeof child.stdout> }).on(
    'line',
    (line) => {
      watch.heard();
      const message = JSON.parse(line) as Message;
      if (message.type === 'end') ended = true;
      else if (message.type === 'violation') fail(message.violation);
      else {
        const { states, opened, workloads, place } = message;
        Object.assign(report, { states, opened, workloads, place });
        onReport();
      }
    },
  );
  const how = await new Promise<string>((resolve) => {
    child.on('close', (status, signal) => resolve(signal ?? `exit code ${status ?? 'unknown'}`));
  });
  watch.end();
  if (!ended) fail(whatHung(positionFile, how));
}

function startWorker(
  program: string,
  options: CampaignOptions,
  positionFile: string,
): ChildProcess {
  const perPoint = Number.isFinite(options.perPoint) ? options.perPoint : null;
  const given: WorkerOptions = { ...options, perPoint };
  const args = [program, JSON.stringify(given), positionFile];
  return spawn(process.execPath, [...V8_OPTIONS, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}

/** Kills a worker that says nothing. */
function watchSilence(child: ChildProcess): { heard(): void; end(): void } {
  let heardAt = performance.now();
  let heardCpu = 0;
  const timer = setInterval(() => {
    const silentCpu = cpuMilliseconds(child.pid) - heardCpu;
    const silent = performance.now() - heardAt;
    if (silentCpu > SILENCE_CPU_MS || silent > SILENCE_MS) child.kill('SIGKILL');
  }, WATCH_EVERY_MS);
  return {
    heard: () => {
      heardAt = performance.now();
      heardCpu = cpuMilliseconds(child.pid);
    },
    end: () => clearInterval(timer),
  };
}

/** Source: proc(5) "/proc/pid/stat": fields 14 and 15; 0 when the process is gone. */
function cpuMilliseconds(pid: number | undefined): number {
  try {
    const text = readFileSync(`/proc/${pid ?? 0}/stat`, 'utf8');
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return ((Number(fields[11]) + Number(fields[12])) * 1000) / TICKS_PER_SECOND;
  } catch {
    return 0;
  }
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
