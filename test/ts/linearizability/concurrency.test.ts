import assert from 'node:assert/strict';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Key, Store } from '../../../ts/index.js';
import { SeededRandom } from '../../support/crash/random.js';
import { codecOfCell, openCell, recordsMax } from '../../support/linearizability/cell.js';
import { findViolation, type Operation } from '../../support/linearizability/checker.js';
import { readAll, runClients } from '../../support/linearizability/clients.js';
import { Recorder } from '../../support/linearizability/recorder.js';
import { runCell } from '../../support/linearizability/run-cell.js';
import { withDirectory } from '../../support/stores.js';

const CLIENTS = 16;
const OPERATIONS = 2000;

// A short form of `npm run test:concurrency`, which has all types and 100,000 calls for each seed.
describe('stores under concurrent calls', function () {
  this.timeout(120_000);

  for (const seed of [1, 2, 3]) {
    it(`are linearizable per key, closed with calls under way: seed ${seed}`, async () => {
      const options = { seed, operations: OPERATIONS, clients: CLIENTS };
      const { failure, operations, background } = await runCell(options, tmpdir(), false);
      assert.equal(failure, undefined);
      assert.ok(operations > OPERATIONS && background.checkpoints > 0);
    });
  }

  it('are linearizable per key in worker threads that are ended while they write', async () => {
    const reports = await Promise.all(
      [4, 5].map((seed) =>
        runCell({ seed, operations: OPERATIONS, clients: CLIENTS }, tmpdir(), true),
      ),
    );
    for (const { failure } of reports) assert.equal(failure, undefined);
  });

  /** The history of some calls to a store, with what `change` puts before it. */
  const historyOf = (change: (store: Store) => Store): Promise<Operation[]> =>
    withDirectory(async (directory) => {
      const cell = { seed: 2, operations: 1500, clients: CLIENTS, path: join(directory, 'store') };
      const recorder = Recorder.ofCapacity(recordsMax(cell));
      const store = await openCell(cell, 0);
      const traffic = {
        ...{ store: change(store), recorder, random: new SeededRandom(9) },
        ...{ codec: codecOfCell(cell), left: cell.operations, writesOnly: false },
        levels: ['process' as const],
      };
      await runClients(traffic, CLIENTS);
      await readAll({ ...traffic, store });
      await store.close();
      return recorder.operations();
    });

  it('are found out when one read is changed', async () => {
    const history = await historyOf((store) => store);
    assert.equal(findViolation(history), undefined);
    const reads = history.filter(({ action }) => action.kind === 'get');
    const later = reads.at(-1) as Operation;
    const older = reads.find(
      ({ key, action }) =>
        key === later.key && JSON.stringify(action) !== JSON.stringify(later.action),
    ) as Operation;
    assert.notEqual(
      findViolation(history.map((one) => (one === later ? { ...one, action: older.action } : one))),
      undefined,
    );
  });

  const mistakes: readonly (readonly [string, (store: Store) => Partial<Store>])[] = [
    ['a put is dropped now and then', dropsPuts],
    ['a get now and then gives what it gave before', remembersValues],
    ['a batch leaves out its last operation', cutsBatches],
    ['a delete now and then is done after it is acknowledged', deletesLate],
  ];
  for (const [name, mistake] of mistakes) {
    it(`are found out when ${name}`, async () => {
      assert.notEqual(
        findViolation(await historyOf((store) => withMistake(store, mistake))),
        undefined,
      );
    });
  }
});

function withMistake(store: Store, mistake: (store: Store) => Partial<Store>): Store {
  const instead = mistake(store);
  return new Proxy(store, {
    get: (_, name): unknown => {
      const own: unknown = Reflect.get(instead, name);
      if (own !== undefined) return own;
      const value: unknown = Reflect.get(store, name, store);
      return typeof value === 'function' ? (value.bind(store) as unknown) : value;
    },
  });
}

function dropsPuts(store: Store): Partial<Store> {
  let count = 0;
  return {
    put: async (...call) => (++count % 50 === 0 ? undefined : store.put(...call)),
  };
}

function remembersValues(store: Store): Partial<Store> {
  const values = new Map<Key, Buffer | undefined>();
  let count = 0;
  return {
    get: async (key) => {
      if (++count % 10 === 0 && values.has(key)) return values.get(key);
      const value = await store.get(key);
      values.set(key, value);
      return value;
    },
  };
}

function cutsBatches(store: Store): Partial<Store> {
  return { batch: async (operations, options) => store.batch(operations.slice(0, -1), options) };
}

function deletesLate(store: Store): Partial<Store> {
  let count = 0;
  return {
    delete: async (key, options) => {
      if (++count % 5 > 0) return store.delete(key, options);
      const found = await store.has(key);
      setTimeout(() => void store.delete(key, options).catch(() => undefined), 1);
      return found;
    },
  };
}
