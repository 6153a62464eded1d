import { writeSync } from 'node:fs';
import { Expectations, FaultyRun, type FaultWorkload } from '../robustness/faults.js';
import { openSmallIn, smallConfig } from '../robustness/small-stores.js';
import type { CallFault, Faults } from './library.js';
import { REAL_WORKLOADS, settledInTime, type RealCase } from './real-run.js';

/** A run whose fault ends the process: an operator new that has no memory throws, and nobody catches. */
export interface DoomedRun extends Pick<RealCase, 'path' | 'backend' | 'valueType' | 'document'> {
  /** By name. */
  readonly workload: string;
  readonly fault: CallFault;
}

/** Key, value, and whether it was acknowledged. */
type Line = readonly [string, string | null, boolean];

/** Says what is begun and acknowledged, so that it is known when the process has ended. */
class SaidExpectations extends Expectations {
  override begin(key: string, value: Buffer | undefined): void {
    this.#say(key, value, false);
    super.begin(key, value);
  }

  override acknowledge(key: string, value: Buffer | undefined): void {
    this.#say(key, value, true);
    super.acknowledge(key, value);
  }

  #say(key: string, value: Buffer | undefined, acknowledged: boolean): void {
    const line: Line = [key, value?.toString('base64') ?? null, acknowledged];
    writeSync(1, `${JSON.stringify(line)}\n`);
  }
}

export async function runDoomed(faults: Faults, run: DoomedRun): Promise<void> {
  const { path, backend, valueType, document, fault } = run;
  const config = smallConfig(valueType, { ...document, path, io: { type: backend } });
  const store = await openSmallIn(config);
  faults.arm(fault);
  const workload = REAL_WORKLOADS[run.workload] as FaultWorkload;
  await workload(new FaultyRun(store, [], new SaidExpectations(), settledInTime));
  faults.disarm();
  await store.close();
}

/** @param said of {@link runDoomed}; the last line may have been cut off. */
export function expectationsOf(said: string): Expectations {
  const expected = new Expectations();
  for (const line of said.split('\n').slice(0, -1)) {
    const [key, text, acknowledged] = JSON.parse(line) as Line;
    const value = text === null ? undefined : Buffer.from(text, 'base64');
    if (acknowledged) expected.acknowledge(key, value);
    else expected.begin(key, value);
  }
  return expected;
}
