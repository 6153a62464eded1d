// The crash campaign: workloads on a simulated disk, every legal state after a power cut at every
// event, recovery from it compared with what the caller had been told.
//
//   npm run test:crash -- --states 1000000 --seed 7
//   npm run test:crash -- --states 100000000 --resume build/crash.json
//   npm run test:crash -- --sequences 3 --per-sequence 2 --resume build/sequences.json
//   npm run test:crash -- --replay r7000012@41:mask:5:512
//
// Progress goes to stderr; the last line is 'N passed, N failed', counted in states.
import { availableParallelism } from 'node:os';
import { endWith, readCount, readOptions } from '../options.js';
import type { CampaignOptions } from './campaign.js';
import { checkState, parseState } from './enumerator.js';
import { record } from './recording.js';
import { supervise } from './supervisor.js';
import { describeWorkload, workloadByName } from './workload.js';

const USAGE = `Options:
  --states N      states to try (default 200000)
  --seed S        of the workloads (default 1)
  --per-point N   states tried at one event, evenly chosen, where it has more than 33 (default all)
  --workers N     processes (default: one per processor)
  --resume F      go on where the run that kept F up to date was stopped, and keep it up to date
  --workload W    only this workload, for example r7000012 or e3.411.7
  --sequences N   every sequence of up to N steps on every kind of store, once, in its last step,
                  whatever --states says
  --per-sequence N
                  states tried of each, at events evenly chosen (default: at all, as --per-point says)
  --replay T      one state: workload@point:choice:number:sectorBytes[/second crash]
`;

async function main(): Promise<number> {
  const values = readOptions(USAGE, {
    states: { type: 'string', default: '200000' },
    seed: { type: 'string', default: '1' },
    'per-point': { type: 'string' },
    workers: { type: 'string', default: String(availableParallelism()) },
    workload: { type: 'string' },
    sequences: { type: 'string' },
    'per-sequence': { type: 'string' },
    replay: { type: 'string' },
    resume: { type: 'string' },
  });
  if (values.replay !== undefined) return replay(values.replay);
  const given = (name: 'per-point' | 'per-sequence' | 'sequences'): number | undefined =>
    values[name] === undefined ? undefined : readCount(name, values[name], 1);
  const sequences = given('sequences');
  const perSequence = given('per-sequence');
  if (perSequence !== undefined && sequences === undefined) {
    return endWith(new RangeError('--per-sequence is for --sequences'), USAGE);
  }
  const only = values.workload === undefined ? undefined : asked(workloadByName, values.workload);
  const workers = only === undefined ? readCount('workers', values.workers, 1) : 1;
  const states = readCount('states', values.states, 1);
  const options: CampaignOptions = {
    seed: readCount('seed', values.seed),
    states: sequences === undefined ? Math.ceil(states / workers) : Number.MAX_SAFE_INTEGER,
    perPoint: given('per-point') ?? Number.POSITIVE_INFINITY,
    perSequence,
    worker: 0,
    workers,
    only,
    sequences,
  };
  return supervise(options, values.resume);
}

/** What `read` makes of an option. */
function asked<T>(read: (text: string) => T, text: string): T {
  try {
    return read(text);
  } catch (error) {
    return endWith(error, USAGE);
  }
}

async function replay(token: string): Promise<number> {
  const [name = '', state = ''] = token.split('@');
  const workload = asked(workloadByName, name);
  const parsed = state === 'run' ? undefined : asked(parseState, state);
  process.stderr.write(`${describeWorkload(workload)}\n`);
  const recording = await record(workload);
  process.stderr.write(recording.disk.operations());
  const hazards = recording.disk.hazards();
  for (const hazard of hazards) process.stderr.write(`hazard: ${hazard}\n`);
  if (parsed === undefined) return hazards.length === 0 ? 0 : 1;
  const { least, most } = recording.oracle.bounds(parsed.point, false);
  process.stderr.write(`after event ${parsed.point}: ${least} writes durable, ${most} begun\n`);
  const { violation } = await checkState(recording, parsed);
  process.stderr.write(`${violation ?? 'as it should be'}\n`);
  process.stdout.write(violation === undefined ? '1 passed, 0 failed\n' : '0 passed, 1 failed\n');
  return violation === undefined ? 0 : 1;
}

process.exitCode = await main();
