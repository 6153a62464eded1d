import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createRegistry, open, type Store, type StoreConfig } from '../../../ts/index.js';
import { bytesOf, withDirectory, withSharedMemory } from '../../support/stores.js';

const FOLDER = fileURLToPath(new URL('../../../examples/recstore/', import.meta.url));
const COUNT = 500;

const registry = createRegistry();
const valueOf = (at: number): Buffer => bytesOf(at, at % 3 === 0 ? 512 : (at * 37) % 20_000);

/** The document with its paths moved into two directories; the rest stays as it is. */
function moved(document: unknown, shared: string, directory: string): unknown {
  if (Array.isArray(document) || typeof document !== 'object' || document === null) return document;
  return Object.fromEntries(
    Object.entries(document).map(([field, value]) => {
      if (field !== 'path') return [field, moved(value, shared, directory)];
      const path = String(value);
      return [field, join(path.startsWith('/dev/shm/') ? shared : directory, basename(path))];
    }),
  );
}

async function writeAll(store: Store): Promise<void> {
  for (let at = 0; at < COUNT; at += 2) await store.put(`key-${at}`, valueOf(at));
  const odd = Array.from({ length: COUNT / 2 }, (_, at) => 2 * at + 1);
  await store.batchPut(
    odd.map((at) => `key-${at}`),
    odd.map(valueOf),
  );
}

async function readAll(store: Store): Promise<void> {
  assert.equal(store.size, COUNT);
  const all = Array.from({ length: COUNT }, (_, at) => at);
  const values = await store.batchGet(all.map((at) => `key-${at}`));
  for (const at of all) assert.deepEqual(values[at], valueOf(at), `key-${at}`);
  const { records, damagedCount } = await store.verify();
  assert.deepEqual([records, damagedCount], [COUNT, 0]);
}

// The sample documents of the seed system: nothing but the paths differs.
describe('a document of RecStore', () => {
  const names = readdirSync(FOLDER).filter((name) => name.endsWith('.json'));

  it('is there for each of its four samples', () => {
    assert.deepEqual(names.sort(), [
      'dram-dram.json',
      'dram-ssd.json',
      'dram-tiered.json',
      'ssd-ssd.json',
    ]);
  });

  for (const name of names) {
    it(`opens, is written, reopened and read: ${name}`, function () {
      const document = JSON.parse(readFileSync(join(FOLDER, name), 'utf8')) as StoreConfig;
      return withSharedMemory(this, (shared) =>
        withDirectory(async (directory) => {
          const config = moved(document, shared, directory) as StoreConfig;
          const known =
            registry.has('index', config.index?.type ?? '') &&
            registry.has('value', config.value?.type ?? '');
          if (!known) {
            await assert.rejects(open(config), { code: 'CAIRN_UNSUPPORTED' });
            assert.deepEqual(readdirSync(directory), []);
            return;
          }
          let store = await open(config);
          await writeAll(store);
          await readAll(store);
          await store.close();
          store = await open(config);
          await readAll(store);
          await store.close();
        }),
      );
    });
  }
});
