import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { eighths, registerAllocators } from '../../../examples/extending/allocator.js';
import { calls, registerEngine } from '../../../examples/extending/engine.js';
import { registerIo } from '../../../examples/extending/io.js';
import { MapIndex, registerIndex } from '../../../examples/extending/map-index.js';
import { MapValueStore, registerValueStore } from '../../../examples/extending/map-value-store.js';
import {
  createRegistry,
  open,
  openMemoryFiles,
  restore,
  type Factories,
  type Registry,
  type StoreConfig,
} from '../../../ts/index.js';
import { indexConformance } from '../../support/index-conformance.js';
import { bytesOf, withDirectory } from '../../support/stores.js';
import { valueStoreConformance } from '../../support/value-store-conformance.js';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const run = promisify(execFile);

function registryWith(...add: ((registry: Registry<Factories>) => void)[]): Registry<Factories> {
  const registry = createRegistry();
  for (const each of add) each(registry);
  return registry;
}

/** Writes, reopens by what the manifest says, and compares. */
async function passes(config: StoreConfig, registry: Registry<Factories>): Promise<void> {
  await withDirectory(async (directory) => {
    const path = join(directory, 'store');
    let store = await open(path, config, { registry });
    for (let n = 0; n < 60; n++) await store.put(`k${n % 50}`, bytesOf(n, n * 131));
    await store.batch([
      { type: 'put', key: 'batch', value: 'b' },
      { type: 'delete', key: 'k3' },
    ]);
    await store.bulkLoad([['loaded', bytesOf(7, 5000)]]);
    for (let pass = 0; pass < 2; pass++) {
      assert.equal(store.size, 51);
      assert.deepEqual(await store.get('k4'), bytesOf(54, 54 * 131));
      assert.equal(await store.get('k3'), undefined);
      assert.deepEqual(await store.get('loaded'), bytesOf(7, 5000));
      assert.equal((await store.verify()).damagedCount, 0);
      await store.close();
      store = await open(path, {}, { registry });
    }
    await store.backup(join(directory, 'backup'));
    await store.close();
    await restore(join(directory, 'backup'), join(directory, 'restored'), { registry });
    const copy = await open(join(directory, 'restored'), {}, { registry });
    assert.equal(copy.size, 51);
    await copy.close();
  });
}

describe('examples/extending: the index', () => {
  indexConformance((hashKey) => new MapIndex(hashKey));

  it('makes a store with each value store', async () => {
    const registry = registryWith(registerIndex);
    for (const type of ['SSD_VALUE_STORE', 'DRAM_VALUE_STORE']) {
      await passes({ index: { type: 'MAP_INDEX' }, value: { type } }, registry);
    }
  });
});

describe('examples/extending: the value store', () => {
  valueStoreConformance({
    open: async ({ capacityBytes }) => new MapValueStore(capacityBytes),
  });

  it('makes a store, whose allocator is kept as well', async () => {
    const registry = registryWith(registerValueStore, registerAllocators);
    await passes({ value: { type: 'MAP_VALUE_STORE' } }, registry);
    const value = { type: 'MAP_VALUE_STORE', dram_allocator: { type: 'DRAM_EIGHTHS' } };
    await passes({ value }, registry);
    await withDirectory(async (path) => {
      await (await open(path, { value }, { registry })).close();
      const dram = { ...value, dram_allocator: { type: 'CONCURRENT_SLAB_MEMORY_POOL' } };
      await assert.rejects(open(path, { value: dram }, { registry }), {
        code: 'CAIRN_INCOMPATIBLE',
        message: /dram_allocator.type: the store was created with "DRAM_EIGHTHS", not "CONCURRENT/,
      });
    });
  });
});

describe('examples/extending: the others', () => {
  it('an engine sees every call', async () => {
    calls.clear();
    await passes({ engine_type: 'COUNTING_ENGINE' }, registryWith(registerEngine));
    assert.equal(calls.get('put'), 60);
  });

  it('an allocator plans the slots of either store', async () => {
    const classes = eighths();
    assert.ok(classes.length <= 64 && classes.at(-1) === 2 ** 20);
    const registry = registryWith(registerAllocators);
    await passes({ value: { ssd_allocator: { type: 'SSD_EIGHTHS' } } }, registry);
    const dram = { type: 'DRAM_VALUE_STORE', dram_allocator: { type: 'DRAM_EIGHTHS' } };
    await passes({ value: dram }, registry);
  });

  it('a backend decides where the files are', () =>
    withDirectory(async (root) => {
      const registry = registryWith((target) => registerIo(target, root));
      const io = { type: 'BELOW_ROOT' };
      const store = await open('/cairn-test/below', { io }, { registry });
      await store.put('k', 'v');
      await store.backup('/cairn-test/copy');
      await store.close();
      assert.ok(existsSync(join(root, 'cairn-test/below/MANIFEST')));
      assert.ok(existsSync(join(root, 'cairn-test/copy/MANIFEST')));
      assert.ok(!existsSync('/cairn-test'));
      await assert.rejects(open('/cairn-test/below', { create_if_missing: false }), {
        code: 'CAIRN_NOT_FOUND',
      });
    }));

  it('a backend may keep the files in memory', async () => {
    const registry = createRegistry();
    registry.register('io', 'MEMORY', async () => openMemoryFiles());
    const store = await open('/nowhere', { io: { type: 'MEMORY' } }, { registry });
    await store.put('k', 'v');
    assert.equal(String(await store.get('k')), 'v');
    assert.equal(store.stats().io.backend, 'SIM');
    await store.close();
    assert.ok(!existsSync('/nowhere'));
  });

  it('compile, and run', async () => {
    const tsc = join(ROOT, 'node_modules/typescript/bin/tsc');
    const project = join(ROOT, 'test/support/examples.tsconfig.json');
    // It ends with process.exit(), where a sanitizer that is loaded before it finds the heap of V8.
    await run(process.execPath, [tsc, '-p', project], { env: { ...process.env, LD_PRELOAD: '' } });
    const all = join(ROOT, 'examples/extending/all.ts');
    const { stdout } = await run(process.execPath, ['--import', 'tsx', all], { cwd: ROOT });
    assert.equal(stdout, 'keys: 699 user:0: value 700\nindex: MAP_INDEX puts: 1000\n');
  }).timeout(120_000);

  it('are all named in docs/EXTENDING.md', async () => {
    const { readFile } = await import('node:fs/promises');
    const guide = await readFile(join(ROOT, 'docs/EXTENDING.md'), 'utf8');
    for (const name of readdirSync(join(ROOT, 'examples/extending'))) {
      assert.ok(guide.includes(`examples/extending/${name}`), name);
    }
  });
});

describe('types of a program', () => {
  it('are named among the nearest and the accepted', async () => {
    const registry = registryWith(registerIndex);
    const config = { index: { type: 'MAP_INDX' } };
    await assert.rejects(open('/nowhere', config, { registry }), {
      code: 'CAIRN_INVALID_CONFIG',
      message: /allowed is one of DRAM_PET_HASH, .*MAP_INDEX.*; did you mean MAP_INDEX\?/,
    });
  });

  it('have to be registered again to open their store', () =>
    withDirectory(async (path) => {
      const registry = registryWith(registerIndex);
      const store = await open(path, { index: { type: 'MAP_INDEX' } }, { registry });
      await store.put('k', 'v');
      await store.close();
      await assert.rejects(open(path), {
        code: 'CAIRN_INCOMPATIBLE',
        message: `${path}: the store was created with index.type MAP_INDEX, which is not registered: register it and pass the registry to open`,
      });
      await assert.rejects(open(path, { index: { type: 'DRAM_PET_HASH' } }, { registry }), {
        code: 'CAIRN_INCOMPATIBLE',
        message: /index.type: the store was created with "MAP_INDEX", not "DRAM_PET_HASH"/,
      });
      const again = await open(path, {}, { registry });
      assert.equal(String(again.getSync('k')), 'v');
      await again.close();
    }));

  it('are registered once, with a factory', () => {
    const registry = registryWith(registerIndex);
    assert.throws(() => registerIndex(registry), {
      code: 'CAIRN_INVALID_ARGUMENT',
      message: 'register index: MAP_INDEX is registered already',
    });
    assert.throws(() => registry.register('index', 'OTHER', undefined as never), {
      code: 'CAIRN_INVALID_ARGUMENT',
      message: 'register index: the factory of OTHER is no function',
    });
    assert.throws(() => registry.register('index', 'map index', (() => 0) as never), {
      code: 'CAIRN_INVALID_ARGUMENT',
      message: /"map index" is no type name/,
    });
  });

  it('of which a factory fails leave nothing open', () =>
    withDirectory(async (path) => {
      const registry = createRegistry();
      registry.register('index', 'BROKEN', () => {
        throw new Error('no');
      });
      registry.register('value', 'NONE', () => undefined as never);
      const configs: StoreConfig[] = [{ index: { type: 'BROKEN' } }, { value: { type: 'NONE' } }];
      for (const [at, config] of configs.entries()) {
        await assert.rejects(open(join(path, `a${at}`), config, { registry }), {
          code: 'CAIRN_INVALID_ARGUMENT',
          operation: 'open',
          message: /^(index|value)\.type: the factory of (BROKEN|NONE) /,
        });
      }
      const store = await open(join(path, 'b'), { lock_timeout_ms: 0 });
      await store.close();
    }));
});
