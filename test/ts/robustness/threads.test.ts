import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { CairnError, open } from '../../../ts/index.js';
import { useProgram } from '../../support/program.js';
import { withDirectory } from '../../support/stores.js';
import { checkStore, configOf, KEYS, type Job } from '../../support/threads/load.js';

const program = useProgram(new URL('../../support/threads/child.ts', import.meta.url));

interface End {
  readonly code: number | null;
  readonly signal: string | null;
  readonly pid: number;
  readonly lines: readonly string[];
  readonly output: string;
}

function runChild(job: Job): Promise<End> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [...program(), JSON.stringify(job)], {
      timeout: 110_000,
    });
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
    child.on('error', reject);
    child.on('close', (code, signal) => {
      resolve({ code, signal, pid: child.pid ?? 0, lines: output.trim().split('\n'), output });
    });
  });
}

async function runToOk(job: Job): Promise<End> {
  const end = await runChild(job);
  assert.equal(end.code, 0, `${job.scenario}: ${end.signal ?? end.code}\n${end.output}`);
  assert.equal(end.lines.at(-1), 'ok', end.output);
  return end;
}

// Fault model F1 and F11: every end of a process or thread, and a second opener.
describe('stores in threads and processes', function () {
  this.timeout(120_000);

  const inDirectory = (
    scenario: string,
    job: Pick<Job, 'io' | 'value'>,
    use: (job: Job) => Promise<unknown>,
  ): Promise<void> =>
    withDirectory(async (directory) => {
      await use({ scenario, ...job, path: join(directory, 'store') });
    });

  it('serves several stores of every kind at once in one process', () =>
    inDirectory('several', { io: 'IOURING', value: 'SSD_VALUE_STORE' }, runToOk));

  for (const io of ['IOURING', 'POSIX'] as const) {
    const ssd = { io, value: 'SSD_VALUE_STORE' } as const;
    describe(io, () => {
      it('serves a store per worker thread under load', () => inDirectory('workers', ssd, runToOk));

      it('keeps what it acknowledged when its worker is terminated with I/O in flight', () =>
        inDirectory('terminate', ssd, runToOk));

      it('keeps what it acknowledged after process.exit() with I/O in flight', () =>
        inDirectory('exit', ssd, async (job) => {
          const end = await runChild(job);
          assert.equal(end.code, 7, end.output);
          const acknowledged = new Int32Array(KEYS);
          for (const line of end.lines) {
            const [, key, version] = /^A (\d+) (\d+)$/.exec(line) ?? [];
            if (key !== undefined) acknowledged[Number(key)] = Number(version);
          }
          const store = await open(job.path, configOf(job, 5000));
          const found = await checkStore(store, (key) => acknowledged[key] as number);
          await store.close();
          assert.ok(found > 0);
        }));

      it('keeps a synchronous put when the process exits in the same turn', () =>
        inDirectory('exit-sync', ssd, async (job) => {
          const end = await runChild(job);
          assert.equal(end.code, 7, end.output);
          const store = await open(job.path, configOf(job, 5000));
          assert.equal((await store.get('sync'))?.length, 100);
          await checkStore(store, () => 0);
          await store.close();
        }));

      it('is collected when it is forgotten without close, with I/O in flight', () =>
        inDirectory('collect', ssd, runToOk));

      it('lets the process end when it is idle', () => inDirectory('idle', ssd, runToOk));

      it('holds the process until pending calls are settled', () =>
        inDirectory('pending', ssd, runToOk));

      for (const value of ['SSD_VALUE_STORE', 'DRAM_VALUE_STORE'] as const) {
        it(`closes, twice, with calls in flight: ${value}`, () =>
          inDirectory('close', { io, value }, runToOk));
      }

      it('refuses a second opener in the process, in a worker and elsewhere, naming the first', () =>
        inDirectory('locked-everywhere', ssd, async (job) => {
          const { pid, output } = await runToOk(job);
          const named = `CAIRN_LOCKED .*\\b${pid}\\b`;
          assert.match(output, new RegExp(`same process: ${named}`));
          assert.match(output, new RegExp(`worker: ${named}`));
          assert.match(output, /closed: opened/);
          const store = await open(job.path, configOf(job));
          const other = await runChild({ ...job, scenario: 'locked' });
          assert.match(other.output, new RegExp(`CAIRN_LOCKED .*\\b${process.pid}\\b`));
          await assert.rejects(
            open(job.path, configOf(job)),
            (error) => error instanceof CairnError && error.code === 'CAIRN_LOCKED',
          );
          await store.close();
        }));

      it('gives nothing to a process that is started while it is open', () =>
        inDirectory('spawn', ssd, runToOk));
    });
  }
});
