/**
 * A process that has the library loaded before libc (see calls.c). Its arguments are the library and the
 * backend. It says whether calls of io_uring can be trapped (0, or -errno), and then answers each loop that
 * it is told of, a line of JSON, with a line. With a third argument it makes one run that may end it, and
 * says what it acknowledges: see doomed.ts.
 */
import { createInterface } from 'node:readline';
import { addon } from '../../../ts/bindings/addon.js';
import type { ErrorCode } from '../../../ts/common/errors.js';
import type { StoreConfig } from '../../../ts/config/types.js';
import type { FaultWorkload } from '../robustness/faults.js';
import type { ValueType } from '../robustness/small-stores.js';
import { Watchdog } from '../robustness/watchdog.js';
import { runDoomed, type DoomedRun } from './doomed.js';
import { Faults, type CallFault } from './library.js';
import { REAL_WORKLOADS, runReal, type RealCase } from './real-run.js';

const NTH_MAX = 5000;
const STALL_MS = 30_000;

/** Calls of one kind fail, the first one and so on until there is none left to fail. */
export interface Loop {
  /** Of stores, which are made and removed. */
  readonly folder: string;
  readonly valueType: ValueType;
  readonly document: StoreConfig;
  readonly fault: Omit<CallFault, 'nth' | 'sticky'>;
  readonly codes: readonly ErrorCode[];
  /** By name, and when the fault is there. */
  readonly workloads: readonly (readonly [string, RealCase['stage']])[];
  readonly sticky: readonly boolean[];
  /** The next n is so much higher: n, n + n / `every`, at least 1. 0: each n. */
  readonly every: number;
  /** The highest n. */
  readonly last?: number;
}

export interface LoopReport {
  readonly cases: number;
  /** In how many a call failed. */
  readonly fired: number;
  readonly wrong: readonly string[];
}

async function runLoop(
  { faults, backend, watchdog }: Host,
  { folder, workloads, sticky: both, every, last = NTH_MAX, ...loop }: Loop,
): Promise<LoopReport> {
  const wrong: string[] = [];
  let cases = 0;
  let fired = 0;
  for (const sticky of both) {
    for (const [name, stage] of workloads) {
      const workload = REAL_WORKLOADS[name] as FaultWorkload;
      for (
        let nth = 1;
        nth <= last;
        nth += every === 0 ? 1 : Math.max(1, Math.floor(nth / every))
      ) {
        const label = `${name}, ${stage}, ${nth}${sticky ? ' and later' : ''}`;
        if (nth > NTH_MAX / 2) {
          throw new Error(`${label}: never clean; ${wrong.at(-1) ?? 'nothing wrong'}`);
        }
        watchdog.step(`${backend}, ${JSON.stringify(loop)}: ${label}`);
        const path = `${folder}/${cases++}`;
        const fault = { ...loop.fault, nth, sticky };
        try {
          const run = { ...loop, path, backend, workload, stage, fault };
          const { hitCount } = await runReal(faults, run);
          if (hitCount === 0) break;
        } catch (error) {
          wrong.push(`${label}: ${String(error)}`);
        }
        fired++;
      }
    }
  }
  return { cases, fired, wrong };
}

interface Host {
  readonly faults: Faults;
  readonly backend: RealCase['backend'];
  readonly watchdog: Watchdog;
}

async function main(): Promise<void> {
  const [library = '', backend = 'POSIX', doomed] = process.argv.slice(2);
  addon();
  const faults = new Faults(library);
  if (doomed !== undefined) return runDoomed(faults, JSON.parse(doomed) as DoomedRun);
  const watchdog = new Watchdog(STALL_MS);
  const trapped = backend === 'IOURING' ? faults.trapRing() : 0;
  process.stdout.write(`${trapped}\n`);
  const host: Host = { faults, backend: backend as RealCase['backend'], watchdog };
  for await (const line of createInterface({ input: process.stdin })) {
    const report = await runLoop(host, JSON.parse(line) as Loop);
    process.stdout.write(`${JSON.stringify(report)}\n`);
  }
  await watchdog.stop();
}

void main();
