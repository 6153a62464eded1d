import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ErrorCode } from '../../../ts/common/errors.js';
import { expectationsOf } from '../../support/nth/doomed.js';
import type { CallFault } from '../../support/nth/library.js';
import { Build, LoopProcess, runDoomedProcess } from '../../support/nth/process.js';
import { REAL_WORKLOADS, settledInTime, type RealCase } from '../../support/nth/real-run.js';
import { STORES } from '../../support/robustness/concurrent-faults.js';
import { checkReopened } from '../../support/robustness/faults.js';
import { countInSuite } from '../../support/robustness/suite-count.js';
import { openSmallIn, smallConfig } from '../../support/robustness/small-stores.js';

const LONG = process.env['CAIRN_TEST_LONG'] === '1';
const NAMES = Object.keys(REAL_WORKLOADS);

type Workloads = readonly (readonly [string, RealCase['stage']])[];

interface FaultKind {
  readonly name: string;
  readonly fault: Omit<CallFault, 'nth' | 'sticky'>;
  /** None: callers do not see it. */
  readonly codes: readonly ErrorCode[];
  /** @default once, and from then on */
  readonly sticky?: readonly boolean[];
  /** Only io_uring makes such calls. */
  readonly ring?: true;
  /** Of the ordinary run. */
  readonly workloads?: Workloads;
  /** Other kinds of stores go their own ways: see OWN_MEMORY. */
  readonly memory?: true;
  /** The highest n; only in the long form. */
  readonly last?: number;
}

const IO: readonly ErrorCode[] = ['CAIRN_IO'];
const SPACE: readonly ErrorCode[] = ['CAIRN_IO', 'CAIRN_NO_SPACE'];
const ONCE = [false];
const ALWAYS = [true];

const OPEN: Workloads = [['large values and checkpoints', 'open']];
const BOTH: Workloads = [...OPEN, ['small values', 'reopening']];
const STARTING: Workloads = [
  ['small values', 'making'],
  ['small values', 'reopening'],
];
const MEMORY: Workloads = [...OPEN, ...STARTING];
const SUBMITTED: Workloads = [
  ['many at once', 'open'],
  ['values of megabytes', 'open'],
  ['small values', 'reopening'],
];

/** Several times: whether requests are under way as the ring breaks is a matter of time. */
const BREAKING: Workloads = [
  ...SUBMITTED,
  ...Array.from({ length: 9 }, () => ['values of megabytes', 'open'] as const),
];

const KINDS: readonly FaultKind[] = [
  { name: 'read fails', fault: { kind: 'read' }, codes: IO, workloads: BOTH },
  { name: 'read is short', fault: { kind: 'read', effect: 'short' }, codes: [], workloads: BOTH },
  {
    name: 'read is to be repeated',
    fault: { kind: 'read', errno: 'EAGAIN' },
    codes: [],
    sticky: ONCE,
  },
  {
    name: 'read is to be repeated for ever',
    fault: { kind: 'read', errno: 'EAGAIN' },
    codes: IO,
    sticky: ALWAYS,
  },
  { name: 'write fails', fault: { kind: 'write' }, codes: IO, workloads: BOTH },
  { name: 'write is torn', fault: { kind: 'write', effect: 'torn' }, codes: IO },
  { name: 'write finds no space', fault: { kind: 'write', errno: 'ENOSPC' }, codes: SPACE },
  {
    name: 'write is short',
    fault: { kind: 'write', effect: 'short' },
    codes: [],
    sticky: ONCE,
    workloads: [...OPEN, ['values of megabytes', 'open']],
  },
  // A page of which only half is ever taken.
  {
    name: 'write is always short',
    fault: { kind: 'write', effect: 'short' },
    codes: IO,
    sticky: ALWAYS,
  },
  {
    name: 'write is to be repeated',
    fault: { kind: 'write', errno: 'EAGAIN' },
    codes: [],
    sticky: ONCE,
  },
  {
    name: 'write is to be repeated for ever',
    fault: { kind: 'write', errno: 'EAGAIN' },
    codes: IO,
    sticky: ALWAYS,
  },
  { name: 'sync fails', fault: { kind: 'sync' }, codes: IO, workloads: BOTH },
  { name: 'sync finds no space', fault: { kind: 'sync', errno: 'ENOSPC' }, codes: SPACE },
  {
    name: 'sync is interrupted',
    fault: { kind: 'sync', errno: 'EINTR' },
    codes: [],
    sticky: ONCE,
  },
  { name: 'sync of the directory fails', fault: { kind: 'syncDirectory' }, codes: IO },
  { name: 'reservation fails', fault: { kind: 'grow' }, codes: IO },
  {
    name: 'reservation finds no space',
    fault: { kind: 'grow', errno: 'ENOSPC' },
    codes: SPACE,
    workloads: BOTH,
  },
  { name: 'open fails', fault: { kind: 'open', errno: 'EMFILE' }, codes: IO, workloads: BOTH },
  { name: 'truncation fails', fault: { kind: 'truncate' }, codes: IO, workloads: STARTING },
  { name: 'renaming fails', fault: { kind: 'rename' }, codes: IO },
  {
    name: 'mapping finds no memory',
    fault: { kind: 'map', errno: 'ENOMEM' },
    codes: SPACE,
    workloads: STARTING,
    memory: true,
  },
  {
    name: 'allocation finds no memory',
    fault: { kind: 'allocate', errno: 'ENOMEM' },
    codes: SPACE,
    workloads: MEMORY,
    memory: true,
  },
  { name: 'thread cannot start', fault: { kind: 'thread', errno: 'EAGAIN' }, codes: [] },
  {
    name: 'ring is forbidden',
    fault: { kind: 'setup', errno: 'EPERM' },
    codes: [],
    ring: true,
    workloads: STARTING,
  },
  {
    name: 'registration finds no memory',
    fault: { kind: 'register', errno: 'ENOMEM' },
    codes: IO,
    ring: true,
    workloads: STARTING,
  },
  {
    name: 'submission is to be repeated',
    fault: { kind: 'submit', errno: 'EAGAIN' },
    codes: [],
    sticky: ONCE,
    ring: true,
    workloads: SUBMITTED,
  },
  {
    name: 'submission is taken in part',
    fault: { kind: 'submit', effect: 'short' },
    codes: [],
    ring: true,
    workloads: SUBMITTED.slice(0, 1),
  },
  {
    name: 'submission fails',
    fault: { kind: 'submit', errno: 'ENOMEM' },
    codes: IO,
    ring: true,
    workloads: BREAKING,
  },
  // Each takes the five seconds after which a ring is given up.
  {
    name: 'submission is to be repeated for ever',
    fault: { kind: 'submit', errno: 'EAGAIN' },
    codes: IO,
    sticky: ALWAYS,
    ring: true,
    workloads: OPEN,
    last: 3,
  },
];

const ALL_WORKLOADS: Workloads = [
  ...NAMES.map((name) => [name, 'open'] as const),
  ['small values', 'making'],
  ['small values', 'reopening'],
];

/** A store in memory takes no values of more than half a megabyte. */
function workloadsOf({ workloads = OPEN, last }: FaultKind, valueType: string): Workloads {
  const all = LONG && last === undefined ? ALL_WORKLOADS : workloads;
  if (valueType !== 'DRAM_VALUE_STORE') return all;
  return all.filter(([name]) => name !== 'values of megabytes');
}

/** Of STORES: those that have memory of other kinds. */
const OWN_MEMORY = [0, 2, 5];

function isOrdinary({ memory, last }: FaultKind, store: number): boolean {
  if (last !== undefined) return false;
  return store === 0 || (memory === true && OWN_MEMORY.includes(store));
}

/** The next n: all of them in the long form on the store that people get by default; else 1, 2, 4 or 1, 3, 9. */
function everyOf(store: number): number {
  if (!LONG) return store === 0 ? 1 : 0.5;
  return store === 0 ? 0 : 4;
}

/** In memory where there is such a place: the calls fail, not the device. */
const PARENT = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();

// Fault model F5 to F9 and F13: what the kernel refuses once or from then on, at each call.
for (const backend of ['POSIX', 'IOURING'] as const) {
  describe(`a store on ${backend} whose calls of the kernel fail`, function () {
    this.timeout(LONG ? 7_200_000 : 180_000);
    let build: Build;
    let folder: string;
    let loops: LoopProcess;
    const count = countInSuite(`calls on ${backend}`);

    async function start(): Promise<number> {
      loops = new LoopProcess(build, backend);
      return loops.started();
    }

    before(async function () {
      if (process.env['LD_PRELOAD'] !== undefined) {
        process.stderr.write('skipped: another library is loaded before libc\n');
        this.skip();
      }
      build = new Build();
      folder = mkdtempSync(join(PARENT, 'cairn-nth-'));
      const trapped = await start();
      if (trapped === 0) return;
      process.stderr.write(`skipped: io_uring, seccomp or Linux 6.10 is missing (${trapped})\n`);
      this.skip();
    });
    after(async () => {
      await loops?.stop();
      build?.remove();
      if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
    });

    for (const [at, [valueType, document]] of STORES.entries()) {
      const store = `${valueType} ${JSON.stringify(document)}`;
      for (const kind of KINDS) {
        if (kind.ring === true && backend !== 'IOURING') continue;
        if (!LONG && !isOrdinary(kind, at)) continue;
        it(`keeps what it acknowledged when the n-th ${kind.name}: ${store}`, async () => {
          if (loops.ended) await start();
          const { fault, codes, sticky = [false, true], last } = kind;
          const workloads = workloadsOf(kind, valueType);
          const loop = { folder, valueType, document, fault, codes, workloads, sticky };
          const more = last === undefined ? {} : { last };
          const { cases, fired, wrong } = await loops.run({ ...loop, every: everyOf(at), ...more });
          const { length } = wrong;
          count({ runs: cases, 'in which a call failed': fired });
          assert.equal(length, 0, `${length} of ${cases} wrong: ${wrong.slice(0, 6).join('; ')}`);
          // Only values on the device reserve space, and only a checkpoint renames.
          assert.ok(fired > 0 || at > 0, 'nothing failed');
        });
      }
    }

    it('ends when the n-th operator new throws, and keeps what it acknowledged', async () => {
      const [valueType, document] = STORES[0]!;
      let ended = 0;
      for (let nth = 1; ; nth += LONG ? Math.ceil(nth / 20) : 1 + 2 * nth) {
        const path = join(folder, `new-${nth}`);
        const fault: CallFault = { kind: 'new', nth, sticky: false };
        const run = { path, backend, valueType, document, fault };
        const workload = 'large values and checkpoints';
        const { said, errors, signal, status } = runDoomedProcess(build, { ...run, workload });
        const config = smallConfig(valueType, { ...document, path, io: { type: backend } });
        const expected = expectationsOf(said);
        await checkReopened(() => openSmallIn(config), expected, `new ${nth}`, settledInTime);
        rmSync(path, { recursive: true });
        if (status === 0) break;
        assert.equal(signal, 'SIGABRT', errors);
        assert.match(errors, /bad_alloc/);
        ended++;
      }
      assert.ok(ended > 0);
    });
  });
}
