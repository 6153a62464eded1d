// One scenario of test/ts/bindings/file-set.test.ts, in a process that it may end.
// Arguments: scenario, backend, directory.
import { isMainThread, parentPort, type Worker, workerData } from 'node:worker_threads';
import { FileSet } from '../../ts/bindings/file-set.js';
import { startWorker } from './worker.js';

const PAGE = 4096;

interface Job {
  readonly scenario: string;
  readonly backend: 'IOURING' | 'POSIX';
  readonly directory: string;
}

function openSet(job: Job, lockTimeoutMs = 0, directory = job.directory): Promise<FileSet> {
  return FileSet.openDirectory(directory, {
    backend: job.backend,
    queueDepth: 16,
    flushEvery: 4,
    busyPollUs: 0,
    threads: 4,
    readOnly: false,
    create: true,
    lockTimeoutMs,
  });
}

/** Many durable writes of different pages: seconds of work on a slow disk, never none. */
async function startWrites(files: FileSet, count: number): Promise<Promise<void>[]> {
  const file = await files.open('data', 2);
  return Array.from({ length: count }, (_, i) => {
    const bytes = new Uint8Array(files.native.allocate(4 * PAGE)).fill(i);
    return files.write(file, i * 4 * PAGE, bytes, { sync: i % 2 === 0 });
  });
}

function say(job: Job): void {
  // Synchronous on a pipe, so that it comes out before process.exit.
  process.stdout.write(`${job.scenario} ok\n`);
}

/** A worker that runs `scenario` and says when it is in the middle of it. */
function startOwnWorker(job: Job, scenario: string, directory = job.directory): Promise<Worker> {
  const worker = startWorker(process.argv[1] as string, { ...job, scenario, directory });
  return new Promise((resolve, reject) => {
    worker.once('message', () => resolve(worker));
    worker.once('error', reject);
  });
}

async function runInWorker(job: Job): Promise<void> {
  switch (job.scenario) {
    case 'writing': {
      const writes = await startWrites(await openSet(job), 2000);
      parentPort?.postMessage('writing');
      await Promise.all(writes);
      return;
    }
    case 'opening': {
      const opened = openSet(job, 60_000);
      parentPort?.postMessage('opening');
      await opened;
      return;
    }
    case 'disposing': {
      const files = await openSet(job);
      await startWrites(files, 500);
      const disposed = files.dispose();
      parentPort?.postMessage('disposing');
      await disposed;
      return;
    }
    default: {
      const files = await openSet(job);
      await Promise.all(await startWrites(files, 100));
      await files.dispose();
      parentPort?.postMessage('done');
    }
  }
}

async function terminate(job: Job, scenario: string): Promise<void> {
  for (let round = 0; round < 3; round++) {
    const worker = await startOwnWorker(job, scenario);
    await worker.terminate();
  }
}

async function runInMain(job: Job): Promise<void> {
  switch (job.scenario) {
    case 'in-flight': {
      const writes = await startWrites(await openSet(job), 300);
      let settled = 0;
      for (const write of writes) void write.then(() => settled++);
      process.on('exit', () => {
        if (settled === writes.length) say(job);
      });
      return;
    }
    case 'idle':
      await Promise.all(await startWrites(await openSet(job), 3));
      return say(job);
    case 'exit':
      await startWrites(await openSet(job), 1000);
      setTimeout(() => {
        say(job);
        process.exit(7);
      }, 5);
      return;
    case 'exit-opening':
      await openSet(job);
      void openSet(job, 60_000);
      setTimeout(() => {
        say(job);
        process.exit(7);
      }, 50);
      return;
    case 'terminate':
      await (await openSet(job, 0, `${job.directory}/own`)).dispose();
      await terminate(job, 'writing');
      // The lock is free again: nothing of the workers is left.
      await (await openSet(job, 1000)).dispose();
      return say(job);
    case 'terminate-last':
      await terminate(job, 'writing');
      return say(job);
    case 'terminate-opening': {
      const files = await openSet(job);
      await terminate(job, 'opening');
      await files.dispose();
      return say(job);
    }
    case 'terminate-disposing':
      await terminate(job, 'disposing');
      return say(job);
    case 'collect': {
      const { setFlagsFromString } = await import('node:v8');
      const { runInNewContext } = await import('node:vm');
      setFlagsFromString('--expose-gc');
      const collect = runInNewContext('gc') as () => void;
      await (async () => {
        await openSet(job);
      })();
      // The lock is given back by the finalizer.
      for (let i = 0; i < 200; i++) {
        collect();
        await new Promise((resolve) => setTimeout(resolve, 10));
        try {
          await (await openSet(job)).dispose();
          return say(job);
        } catch {
          continue;
        }
      }
      return;
    }
    case 'throw': {
      const files = await openSet(job);
      const file = await files.open('data', 2);
      const buffer = files.native.allocate(PAGE);
      let thrown = 0;
      let delivered = 0;
      process.on('uncaughtException', () => thrown++);
      for (let i = 0; i < 10; i++) {
        const token = files.channel.once(() => {
          delivered++;
          if (i % 2 === 0) throw new Error('from a handler');
        });
        files.native.write(file, i * PAGE, buffer, 0, PAGE, false, token);
      }
      while (delivered < 10 || thrown < 5) await new Promise((resolve) => setTimeout(resolve, 5));
      await files.dispose();
      return say(job);
    }
    case 'workers': {
      const workers = Array.from({ length: 4 }, (_, i) =>
        startOwnWorker(job, 'whole', `${job.directory}/${i}`),
      );
      await Promise.all(workers);
      return say(job);
    }
  }
}

if (isMainThread) {
  const [scenario = '', backend = '', directory = ''] = process.argv.slice(2);
  void runInMain({ scenario, backend: backend as Job['backend'], directory });
} else {
  void runInWorker(workerData as Job);
}
