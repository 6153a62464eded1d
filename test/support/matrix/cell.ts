import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { open } from '../../../ts/index.js';
import { Keys, type Behaviour } from './behaviour.js';
import { type Combination, type Site } from './combination.js';
import { PART_BEHAVIOURS } from './part-behaviours.js';
import { STORE_BEHAVIOURS } from './store-behaviours.js';

export const BEHAVIOURS: readonly Behaviour[] = [...STORE_BEHAVIOURS, ...PART_BEHAVIOURS];

export type ChildLine =
  { readonly number: number; readonly failure: string | undefined } | { readonly done: true };

/** When a behaviour was looked at: as it was done, after a kill, after close and reopen. */
export type Phase = 'live' | 'killed' | 'reopened';

export interface Finding {
  readonly behaviour: number;
  readonly io: string;
  readonly phase: Phase;
  /** Undefined: as it should be. */
  readonly failure: string | undefined;
}

const CHILD = fileURLToPath(new URL('./child.ts', import.meta.url));
const CHILD_MS_MAX = 120_000;
/** Writes are under way when the process is killed. */
const KILL_AFTER_MS = 20;

export async function reasonOf(run: () => Promise<void>): Promise<string | undefined> {
  try {
    await run();
    return undefined;
  } catch (error) {
    return error instanceof Error ? `${error.name}: ${error.message}`.slice(0, 500) : String(error);
  }
}

/** All behaviours of one combination on one backend, in a process that is killed, and after it. */
export async function runCell(
  combination: Combination,
  io: string,
  parent: string,
): Promise<Finding[]> {
  const directory = await mkdtemp(join(parent, 'cairn-matrix-'));
  try {
    const site: Site = { ...combination, io, directory };
    const findings = await runAndKill(site);
    for (const phase of ['killed', 'reopened'] as const) {
      findings.push(...(await reopenAndCheck(site, phase)));
    }
    return findings;
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function reopenAndCheck(site: Site, phase: Phase): Promise<Finding[]> {
  const kept = BEHAVIOURS.filter(({ check, notFor }) => check && notFor?.(site) === undefined);
  const findings: Finding[] = [];
  const add = (behaviour: number, failure: string | undefined): void =>
    void findings.push({ behaviour, io: site.io, phase, failure });
  const failure = await reasonOf(async () => {
    // The stored configuration says what the store is made of.
    const store = await open(join(site.directory, 'store'), {
      io: { type: site.io },
      lock_timeout_ms: 10_000,
    });
    try {
      for (const { number, check } of kept) {
        add(number, await reasonOf(() => check!(store, new Keys(number), site)));
      }
      // Nothing was written between the phases.
      const damagedCount = phase === 'killed' ? (await store.verify()).damagedCount : 0;
      if (damagedCount > 0) throw new Error(`${damagedCount} damaged records`);
    } finally {
      await store.close();
    }
  });
  if (failure !== undefined) for (const { number } of kept) add(number, failure);
  return findings;
}

/** What the child found; behaviours that it did not reach before it ended by itself have failed. */
async function runAndKill(site: Site): Promise<Finding[]> {
  const args = ['--import', 'tsx', CHILD, JSON.stringify(site)];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const found = new Map<number, string | undefined>();
  let errors = '';
  let done = false;
  const kill = (): void => void child.kill('SIGKILL');
  const tooLong = setTimeout(kill, CHILD_MS_MAX);
  child.stderr.on('data', (data: Buffer) => (errors += data.toString()));
  createInterface({ input: child.stdout }).on('line', (text) => {
    const line = JSON.parse(text) as ChildLine;
    if (!('done' in line)) found.set(line.number, line.failure);
    else {
      done = true;
      setTimeout(kill, KILL_AFTER_MS);
    }
  });
  const signal = await new Promise((resolve) => child.on('close', (_, by) => resolve(by)));
  clearTimeout(tooLong);
  const ended =
    done && signal === 'SIGKILL' ? undefined : `the process ended too early: ${errors.slice(-500)}`;
  return BEHAVIOURS.filter(({ notFor }) => notFor?.(site) === undefined).map(({ number }) => ({
    behaviour: number,
    io: site.io,
    phase: 'live',
    failure: found.has(number) ? found.get(number) : (ended ?? 'it did not end'),
  }));
}
