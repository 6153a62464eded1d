// One scenario of test/ts/robustness/threads.test.ts in a process, or a worker, that it may end.
// Arguments: the job as JSON. Says `A <key> <version>` for each acknowledged write, `ok` at the end.
import { spawn } from 'node:child_process';
import { writeSync } from 'node:fs';
import { isMainThread, parentPort, type Worker, workerData } from 'node:worker_threads';
import { CairnError, open, type Store } from '../../../ts/index.js';
import { bytesOf } from '../stores.js';
import { startWorker } from '../worker.js';
import { checkStore, configOf, KEYS, keyOf, valueOf, writeUntil, type Job } from './load.js';

function say(text: string): void {
  // Synchronous on a pipe, so that it comes out before process.exit.
  writeSync(1, `${text}\n`);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function startOwnWorker(job: Job): Worker {
  return startWorker(process.argv[1] as string, job);
}

/** Resolves with what the worker says first. */
function firstMessage(worker: Worker): Promise<unknown> {
  return new Promise((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
  });
}

function ended(worker: Worker): Promise<number> {
  return new Promise((resolve, reject) => {
    worker.once('exit', resolve);
    worker.once('error', reject);
  });
}

function sharedVersions(): Int32Array {
  return new Int32Array(new SharedArrayBuffer(4 * KEYS));
}

async function whole(job: Job, forMs: number): Promise<void> {
  const versions = job.acknowledged ?? sharedVersions();
  const until = Date.now() + forMs;
  let store = await open(job.path, configOf(job));
  await writeUntil(
    store,
    () => Date.now() > until,
    (key, version) => (versions[key] = version),
  );
  await store.close();
  store = await open(job.path, configOf(job));
  await checkStore(store, (key) => versions[key] as number);
  await store.close();
}

async function runInWorker(job: Job): Promise<void> {
  const versions = job.acknowledged as Int32Array;
  switch (job.scenario) {
    case 'whole':
      await whole(job, 400);
      return;
    case 'write': {
      const store = await open(job.path, configOf(job, 5000));
      let said = false;
      await writeUntil(
        store,
        () => false,
        (key, version) => {
          Atomics.store(versions, key, version);
          if (!said) parentPort?.postMessage('writing');
          said = true;
        },
      );
      return;
    }
    case 'open':
      parentPort?.postMessage('opening');
      await open(job.path, configOf(job, 5000));
      return;
    case 'close': {
      const store = await open(job.path, configOf(job, 5000));
      const writes = Array.from({ length: KEYS }, (_, key) =>
        store.put(keyOf(key), valueOf(key, 1)).catch(() => undefined),
      );
      const closed = store.close();
      parentPort?.postMessage('closing');
      await Promise.all([...writes, closed]);
      return;
    }
    case 'locked':
      parentPort?.postMessage(await lockError(job));
      return;
    default:
      throw new Error(`no scenario ${job.scenario}`);
  }
}

async function lockError(job: Job): Promise<string> {
  try {
    await (await open(job.path, configOf(job, 20))).close();
    return 'opened';
  } catch (error) {
    return error instanceof CairnError ? `${error.code} ${error.message}` : String(error);
  }
}

async function terminate(job: Job, scenario: string, rounds: number): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    const acknowledged = sharedVersions();
    const path = `${job.path}-${round}`;
    const worker = startOwnWorker({ ...job, scenario, path, acknowledged });
    await firstMessage(worker);
    await pause(round * 17);
    await worker.terminate();
    const store = await open(path, configOf(job, 5000));
    await checkStore(store, (key) => Atomics.load(acknowledged, key));
    await store.close();
  }
}

async function collectGarbage(): Promise<() => void> {
  const { setFlagsFromString } = await import('node:v8');
  const { runInNewContext } = await import('node:vm');
  setFlagsFromString('--expose-gc');
  return runInNewContext('gc') as () => void;
}

/** Opens, starts writes and forgets the store; only the promises of the writes are left. */
async function startAndForget(job: Job, versions: Int32Array): Promise<Promise<unknown>[]> {
  const store = await open(job.path, configOf(job, 5000));
  return Array.from({ length: KEYS }, (_, key) =>
    store.put(keyOf(key), valueOf(key, 1)).then(() => (versions[key] = 1)),
  );
}

async function collect(job: Job): Promise<void> {
  const gc = await collectGarbage();
  for (let round = 0; round < 3; round++) {
    const inRound = { ...job, path: `${job.path}-${round}` };
    const versions = sharedVersions();
    // In the last round nobody waits: what is in flight goes on without its store.
    await (async () => {
      const writes = await startAndForget(inRound, versions);
      gc();
      if (round < 2) await Promise.all(writes);
    })();
    const store = await openWhenCollected(inRound, gc);
    await checkStore(store, (key) => versions[key] as number);
    await store.close();
  }
}

/** The lock is given back when the last of the forgotten store is collected. */
async function openWhenCollected(job: Job, gc: () => void): Promise<Store> {
  for (let attempt = 0; attempt < 300; attempt++) {
    gc();
    await pause(10);
    try {
      return await open(job.path, configOf(job));
    } catch (error) {
      if (!(error instanceof CairnError) || error.code !== 'CAIRN_LOCKED') throw error;
    }
  }
  throw new Error('the forgotten store is never collected');
}

async function several(job: Job): Promise<void> {
  const jobs = (['IOURING', 'POSIX'] as const).flatMap((io) =>
    (['SSD_VALUE_STORE', 'DRAM_VALUE_STORE'] as const).map((value) => ({
      ...job,
      io,
      value,
      path: `${job.path}-${io}-${value}`,
    })),
  );
  await Promise.all(jobs.map((one) => whole(one, 400)));
}

async function closeInFlight(job: Job): Promise<void> {
  const versions = sharedVersions();
  for (let round = 1; round <= 5; round++) {
    const store = await open(job.path, configOf(job));
    await store.put('first', 'value');
    const calls = Array.from({ length: KEYS }, (_, key) =>
      store.put(keyOf(key), valueOf(key, round)).then(() => void (versions[key] = round)),
    );
    const reads = Array.from({ length: KEYS }, (_, key) => store.get(keyOf(key)));
    const others = [store.checkpoint(), store.flush(), store.batchGet(['first', keyOf(3)])];
    const iteration = (async () => {
      for await (const [,] of store.entries()) await pause(0);
    })();
    if (round % 2 === 0) await pause(round);
    const closed = [store.close(), store.close(), store[Symbol.asyncDispose]()];
    const results = await Promise.allSettled([...calls, ...reads, ...others, iteration]);
    await Promise.all(closed);
    for (const result of results) {
      if (result.status === 'fulfilled') continue;
      const error: unknown = result.reason;
      if (!(error instanceof CairnError) || error.code !== 'CAIRN_CLOSED') throw error;
    }
    const again = await open(job.path, configOf(job));
    await checkStore(again, (key) => versions[key] as number);
    await again.close();
  }
}

async function runInMain(job: Job): Promise<void> {
  switch (job.scenario) {
    case 'several':
      await several(job);
      return say('ok');
    case 'workers': {
      const workers = [0, 1, 2].map((at) =>
        startOwnWorker({ ...job, scenario: 'whole', path: `${job.path}-${at}` }),
      );
      await Promise.all([...workers.map(ended), whole(job, 400)]);
      return say('ok');
    }
    case 'terminate':
      await terminate(job, 'write', 5);
      await terminate({ ...job, path: `${job.path}-opening` }, 'open', 3);
      await terminate({ ...job, path: `${job.path}-closing` }, 'close', 3);
      return say('ok');
    case 'exit': {
      const store = await open(job.path, configOf(job));
      let count = 0;
      await writeUntil(
        store,
        () => false,
        (key, version) => {
          say(`A ${key} ${version}`);
          if (++count === 150) process.exit(7);
        },
      );
      return;
    }
    case 'exit-sync': {
      const store = await open(job.path, configOf(job));
      for (let key = 0; key < KEYS; key++) void store.put(keyOf(key), valueOf(key, 1));
      store.putSync('sync', bytesOf(1, 100));
      process.exit(7);
    }
    // falls through
    case 'collect':
      await collect(job);
      return say('ok');
    case 'idle': {
      const store = await open(job.path, configOf(job));
      await store.put('key', 'value');
      await store.get('key');
      return say('ok');
    }
    case 'pending': {
      const store = await open(job.path, configOf(job));
      let settled = 0;
      for (let key = 0; key < KEYS; key++) {
        void store.put(keyOf(key), valueOf(key, 1)).then(() => settled++);
        void store.get(keyOf(key)).then(() => settled++);
      }
      process.on('exit', () => {
        if (settled === 2 * KEYS) say('ok');
      });
      return;
    }
    case 'close':
      await closeInFlight(job);
      return say('ok');
    case 'locked':
      say(await lockError(job));
      return;
    case 'locked-everywhere': {
      const store = await open(job.path, configOf(job));
      say(`same process: ${await lockError(job)}`);
      say(`worker: ${String(await firstMessage(startOwnWorker({ ...job, scenario: 'locked' })))}`);
      await store.close();
      say(`closed: ${await lockError(job)}`);
      return say('ok');
    }
    case 'spawn': {
      const store = await open(job.path, configOf(job));
      const writes = Array.from({ length: KEYS }, (_, key) =>
        store.put(keyOf(key), valueOf(key, 1)),
      );
      const sleeper = spawn('sleep', ['60'], { stdio: 'ignore' });
      await Promise.all(writes);
      await store.close();
      // The child has neither the lock nor the ring.
      const again = await open(job.path, configOf(job));
      await checkStore(again, () => 1);
      await again.close();
      sleeper.kill();
      return say('ok');
    }
    default:
      throw new Error(`no scenario ${job.scenario}`);
  }
}

if (isMainThread) void runInMain(JSON.parse(process.argv[2] as string) as Job);
else void runInWorker(workerData as Job);
