import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { chmod, cp, mkdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { addon } from '../../../ts/bindings/addon.js';
import type { ManifestRoot } from '../../../ts/bindings/log.js';
import { CairnError, type ErrorCode } from '../../../ts/common/errors.js';
import { open, type StoreConfig } from '../../../ts/index.js';
import { bytesOf, withDirectory, withSharedMemory } from '../../support/stores.js';

const ROOT_BYTES = 32 * 1024;
const RECORDS = 51;
const LOG = { segment_bytes: 256 * 1024, capacity_bytes: 1024 * 1024 };
/** What a file that is not what it should be may be answered with. */
const CODES: readonly ErrorCode[] = [
  'CAIRN_CORRUPTION',
  'CAIRN_INCOMPATIBLE',
  'CAIRN_INVALID_CONFIG',
  'CAIRN_IO',
  'CAIRN_NOT_FOUND',
];
const SSD_INDEX: StoreConfig = { index: { type: 'SSD_EXTENDIBLE_HASH' }, log: LOG };

async function makeStore(path: string, config: StoreConfig = { log: LOG }): Promise<void> {
  const store = await open(path, config);
  for (let key = 1; key < RECORDS; key++) await store.put(`key-${key}`, bytesOf(key, 3000));
  await store.checkpoint();
  await store.put('after', 'the checkpoint');
  await store.close();
}

/** Opens and reads whole, or is refused with a code of a damaged store. */
async function openOrRefuse(
  path: string,
  config: StoreConfig = {},
): Promise<CairnError | undefined> {
  try {
    const store = await open(path, { lock_timeout_ms: 0, ...config });
    const { records, damagedCount } = await store.verify();
    await store.close();
    assert.deepEqual([records, damagedCount], [RECORDS, 0]);
    return undefined;
  } catch (error) {
    if (!(error instanceof CairnError)) throw error;
    assert.ok(CODES.includes(error.code), `${error.code}: ${error.message}`);
    return error;
  }
}

async function changeManifest(
  path: string,
  change: (root: ManifestRoot) => Partial<ManifestRoot>,
): Promise<void> {
  const file = join(path, 'MANIFEST');
  const bytes = new Uint8Array(await readFile(file));
  for (const index of [0, 1] as const) {
    const page = bytes.subarray(index * ROOT_BYTES, (index + 1) * ROOT_BYTES);
    const root = addon().decodeManifestRoot(page, index);
    assert.ok(typeof root === 'object');
    assert.ok(addon().encodeManifestRoot({ ...root, ...change(root) }, index, page));
  }
  await writeFile(file, bytes);
}

// SECURITY.md: what a store does about files that somebody else made.
describe('a store among hostile files', function () {
  this.timeout(60_000);

  it('makes files that only their owner may read, whatever the umask', () =>
    withDirectory(async (directory) => {
      const path = join(directory, 'above', 'store');
      const before = process.umask(0);
      try {
        await makeStore(path, SSD_INDEX);
      } finally {
        process.umask(before);
      }
      for (const made of [path, join(directory, 'above')]) {
        assert.equal(statSync(made).mode & 0o777, 0o700, made);
      }
      const names = readdirSync(path);
      assert.ok(names.includes('index') && names.includes('LOCK') && names.includes('values'));
      for (const name of names) {
        assert.equal(statSync(join(path, name)).mode & 0o777, 0o600, name);
      }
    }));

  it('makes pool files that only their owner may read, and uses no others', function () {
    return withSharedMemory(this, async (shared) => {
      const pools = join(shared, 'pools');
      const config: StoreConfig = {
        value: {
          type: 'DRAM_VALUE_STORE',
          path: pools,
          dram_allocator: { type: 'PERSIST_LOOP_SLAB' },
        },
        log: LOG,
      };
      await withDirectory(async (directory) => {
        const path = join(directory, 'store');
        const before = process.umask(0);
        try {
          await makeStore(path, config);
        } finally {
          process.umask(before);
        }
        assert.equal(statSync(pools).mode & 0o777, 0o700);
        const pool = join(pools, readdirSync(pools)[0] as string);
        assert.equal(statSync(pool).mode & 0o777, 0o600);
        // Somebody who knows the name may make the file first, and look on.
        await chmod(pool, 0o666);
        const refused = await openOrRefuse(path);
        assert.match(String(refused?.message), /pool file .*: /);
        await rm(pool);
        execFileSync('mkfifo', ['-m', '600', pool]);
        assert.notEqual(await openOrRefuse(path), undefined);
        await rm(pool);
        await symlink(join(directory, 'elsewhere'), pool);
        assert.notEqual(await openOrRefuse(path), undefined);
        assert.ok(!existsSync(join(directory, 'elsewhere')));
        await rm(pool);
        assert.equal(await openOrRefuse(path), undefined);
      });
    });
  });

  /** Replaces each file in turn, and opens for writing and for reading. */
  const eachReplaced = (
    replace: (file: string, aside: string) => Promise<unknown>,
    check: (aside: string, before: Buffer) => Promise<void>,
  ): Promise<void> =>
    withDirectory(async (directory) => {
      const path = join(directory, 'store');
      const copy = join(directory, 'copy');
      const aside = join(directory, 'aside');
      await makeStore(path, SSD_INDEX);
      for (const name of readdirSync(path)) {
        for (const readOnly of [true, false]) {
          await cp(path, copy, { recursive: true });
          await rename(join(copy, name), aside);
          const before = await readFile(aside);
          await replace(join(copy, name), aside);
          const refused = await openOrRefuse(copy, readOnly ? { read_only: true } : {});
          // A segment that holds nothing and the reserve may be missing.
          if (!/^(log-|RESERVE)/.test(name)) assert.notEqual(refused, undefined, name);
          await check(aside, before);
          await rm(copy, { recursive: true });
        }
      }
    });

  it('follows no symbolic link', () =>
    eachReplaced(
      (file, aside) => symlink(aside, file),
      async (aside, before) => assert.ok((await readFile(aside)).equals(before)),
    ));

  it('does not wait for a FIFO in the place of a file', () =>
    eachReplaced(
      async (file) => execFileSync('mkfifo', [file]),
      async () => undefined,
    ));

  it('leaves alone what has no name of its own, and is not led astray by it', () =>
    withDirectory(async (directory) => {
      const path = join(directory, 'store');
      await makeStore(path);
      const strange = [
        'log-00001',
        'log-0001.bak',
        `log-${'9'.repeat(20)}`,
        `log-${'9'.repeat(60)}`,
        'log--001',
        'log-0x10',
        'checkpoint-00000000000000000zzz',
        'checkpoint-0001',
        'values.old',
        '.hidden',
        'MANIFEST~',
        'ünï',
        'a b',
      ];
      for (const name of strange) await writeFile(join(path, name), `mine: ${name}`);
      await mkdir(join(path, 'log-7777'));
      // A number that a store could have given, in a file that nobody wrote to.
      await writeFile(join(path, 'log-999999999999'), Buffer.alloc(LOG.segment_bytes));
      for (let round = 0; round < 2; round++) {
        const store = await open(path, { log: LOG });
        for (let key = 0; key < 300; key++) {
          await store.put(`key-${key}`, bytesOf(key + round, 3000), { durability: 'none' });
        }
        assert.equal((await store.verify()).records, 301);
        await store.close();
      }
      for (const name of strange) {
        assert.equal(await readFile(join(path, name), 'utf8'), `mine: ${name}`);
      }
    }));

  it('says within the time asked for who holds the lock', () =>
    withDirectory(async (directory) => {
      const path = join(directory, 'store');
      const store = await open(path, { log: LOG });
      const began = performance.now();
      await assert.rejects(open(path, { lock_timeout_ms: 100 }), (error) => {
        assert.ok(error instanceof CairnError && error.code === 'CAIRN_LOCKED');
        return error.message.includes(`process ${process.pid}`);
      });
      const took = performance.now() - began;
      assert.ok(took >= 90 && took < 5000, `${took} ms`);
      await store.close();
    }));

  it('hashes keys with a secret of each store', () =>
    withDirectory(async (directory) => {
      const hashKeys = new Set<string>();
      for (const name of ['a', 'b', 'a']) {
        const path = join(directory, name);
        await (await open(path, { log: LOG })).close();
        const bytes = new Uint8Array(await readFile(join(path, 'MANIFEST')));
        const root = addon().decodeManifestRoot(bytes.subarray(0, ROOT_BYTES), 0);
        assert.ok(typeof root === 'object' && root.hashKey.length === 16);
        hashKeys.add(Buffer.from(root.hashKey).toString('hex'));
      }
      assert.equal(hashKeys.size, 2);
    }));

  describe('with a manifest that checks and lies', () => {
    const huge = 2 ** 52;
    const configs: readonly (readonly [string, (config: string) => string])[] = [
      ['segments of 4 PiB', (config) => config.replace(/("segment_bytes":)\d+/, `$1${huge}`)],
      ['segments of a byte', (config) => config.replace(/("segment_bytes":)\d+/, '$11')],
      [
        'classes of every size',
        (config) =>
          config.replace('"ssd_allocator":{', '"ssd_allocator":{"size_classes":[-5,1e15],'),
      ],
      ['blocks of three bytes', (config) => config.replace(/("min_block_size":)\d+/, '$13')],
      ['no JSON', () => '{'],
      ['a list', () => '[]'],
      ['null', () => 'null'],
      ['other prototypes', () => '{"__proto__":{"version":1},"constructor":{"version":1}}'],
      [
        'types that are properties of every object',
        (config) =>
          config
            .replace('"DRAM_PET_HASH"', '"constructor"')
            .replace('"SSD_VALUE_STORE"', '"__proto__"'),
      ],
      ['nesting', () => `${'['.repeat(9000)}${']'.repeat(9000)}`],
    ];
    const numbers: readonly (readonly [string, Partial<ManifestRoot>])[] = [
      ['a checkpoint that is not there', { checkpointId: 2 ** 50 }],
      ['a sequence from the end of time', { durableSequence: 2 ** 52, startSequence: 2 ** 52 }],
    ];
    const lies: readonly (readonly [string, (root: ManifestRoot) => Partial<ManifestRoot>])[] = [
      ...configs.map(
        ([name, change]) =>
          [name, (root: ManifestRoot) => ({ config: change(root.config) })] as const,
      ),
      ...numbers.map(([name, change]) => [name, () => change] as const),
    ];
    for (const [name, change] of lies) {
      it(`is refused, or read, without memory for what it says: ${name}`, () =>
        withDirectory(async (directory) => {
          const path = join(directory, 'store');
          await makeStore(path);
          await changeManifest(path, change);
          const before = process.memoryUsage().rss;
          const refused = await openOrRefuse(path);
          assert.ok(process.memoryUsage().rss - before < 256 * 2 ** 20);
          const isConfig = configs.some(([other]) => other === name);
          if (isConfig) assert.notEqual(refused, undefined);
        }));
    }
  });

  it('makes nothing outside shared memory because a manifest says so', () =>
    withDirectory(async (directory) => {
      const path = join(directory, 'store');
      const elsewhere = join(directory, 'elsewhere');
      const value = { type: 'DRAM_VALUE_STORE', dram_allocator: { type: 'PERSIST_LOOP_SLAB' } };
      await makeStore(path, { value, log: LOG });
      for (const place of [elsewhere, `/dev/shm/../../${elsewhere}`]) {
        await changeManifest(path, ({ config }) => ({
          config: config.replace('"value":{', `"value":{"path":"${place}",`),
        }));
        assert.equal((await openOrRefuse(path))?.code, 'CAIRN_INCOMPATIBLE');
        assert.ok(!existsSync(elsewhere));
      }
    }));

  it('takes nothing for a configuration but what is its own', () =>
    withDirectory(async (directory) => {
      const path = join(directory, 'store');
      const prototype = Object.prototype as { read_only?: boolean };
      prototype.read_only = true;
      try {
        const store = await open(path, { log: LOG });
        await store.put('key', 'value');
        await store.close();
      } finally {
        delete prototype.read_only;
      }
      let asked = 0;
      const config = {
        toJSON: () => assert.fail('toJSON is called'),
        get log() {
          return asked++ === 0 ? LOG : { segment_bytes: -1 };
        },
      };
      await assert.rejects(open(path, config), { code: 'CAIRN_INVALID_CONFIG' });
      assert.equal(asked, 1);
    }));
});
