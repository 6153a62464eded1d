import assert from 'node:assert/strict';
import { CairnError } from '../../../ts/common/errors.js';
import { resolveConfig } from '../../../ts/config/resolve.js';
import { compareWithStored, documentOf, toStoredJson } from '../../../ts/config/stored.js';
import type { ResolvedConfig, StoreConfig } from '../../../ts/config/types.js';
import { machine } from './support.js';

function resolve(document: StoreConfig = {}): ResolvedConfig {
  return resolveConfig('/s', document, { machine });
}

/** Opens a store created with `created` by a document `opened`. */
function reopen(created: StoreConfig, opened: StoreConfig): ResolvedConfig {
  return compareWithStored(resolve(opened), toStoredJson(resolve(created)), { machine });
}

const created: StoreConfig = {
  key: { type: 'u64' },
  value: { type: 'DRAM_VALUE_STORE', dram_allocator: { size_classes: [64, 512] } },
  log: { segment_bytes: 1024 ** 2 },
};

describe('reopening with another configuration', () => {
  it('takes what cannot change from the store when the document does not say it', () => {
    const config = reopen(created, { cache: { capacity_bytes: 4096 } });
    assert.equal(config.key.type, 'u64');
    assert.equal(config.value.type, 'DRAM_VALUE_STORE');
    assert.deepEqual(config.value.dramAllocator?.sizeClasses, [64, 512]);
    assert.equal(config.value.ssdAllocator, undefined);
    assert.equal(config.log.segmentBytes, 1024 ** 2);
    assert.equal(config.cache.capacityBytes, 4096);
    assert.ok(Object.isFrozen(config) && Object.isFrozen(config.value));
  });

  it('accepts the document the store was created with', () => {
    assert.deepEqual(reopen(created, created), resolve(created));
    assert.deepEqual(reopen({}, {}), resolve({}));
  });

  it('accepts a document that asks for the same in other words', () => {
    const stored = { index: { type: 'DRAM_EXTENDIBLE_HASH' } };
    assert.equal(reopen(stored, { index: { type: 'DRAM' } }).index.type, 'DRAM_EXTENDIBLE_HASH');
    const classes = (sizes: number[]) => ({ value: { ssd_allocator: { size_classes: sizes } } });
    reopen(classes([64, 128]), classes([128, 64]));
  });

  it('keeps the general classes when the allocator is named again', () => {
    const named = { value: { ssd_allocator: { type: 'SSD_SLAB' } } };
    assert.equal(reopen({}, named).value.ssdAllocator?.sizeClasses, undefined);
    const seed = [128, 256, 512, 1024, 4096];
    assert.deepEqual(reopen(named, {}).value.ssdAllocator?.sizeClasses, seed);
  });

  it('names every differing field and both values', () => {
    const opened: StoreConfig = {
      key: { type: 'bytes' },
      index: { type: 'DRAM_UNORDERED_MAP' },
      log: { segment_bytes: 2 * 1024 ** 2 },
    };
    assert.throws(
      () => reopen(created, opened),
      (error) => {
        assert.ok(error instanceof CairnError);
        assert.equal(error.code, 'CAIRN_INCOMPATIBLE');
        assert.equal(
          error.message,
          '/s: key.type: the store was created with "u64", not "bytes"; ' +
            'index.type: the store was created with "DRAM_PET_HASH", not "DRAM_UNORDERED_MAP"; ' +
            'log.segment_bytes: the store was created with 1048576, not 2097152',
        );
        assert.deepEqual(error.problems?.[0], {
          path: 'key.type',
          given: '"bytes"',
          allowed: '"u64"',
        });
        return true;
      },
    );
  });

  it('refuses each field that cannot change', () => {
    const dram = { type: 'DRAM_VALUE_STORE' };
    const buddy = { type: 'SSD_BUDDY', min_block_size: 256 };
    const rows: readonly [string, StoreConfig, StoreConfig][] = [
      ['key.type', {}, { key: { type: 'u64' } }],
      ['index.type', {}, { index: { type: 'DRAM_UNORDERED_MAP' } }],
      ['value.type', {}, { value: { type: 'DRAM_VALUE_STORE' } }],
      ['value.ssd_allocator.type', {}, { value: { ssd_allocator: { type: 'SSD_BUDDY' } } }],
      [
        'value.ssd_allocator.size_classes',
        {},
        { value: { ssd_allocator: { size_classes: [64] } } },
      ],
      [
        'value.ssd_allocator.min_block_size',
        { value: { ssd_allocator: buddy } },
        { value: { ssd_allocator: { type: 'SSD_BUDDY', min_block_size: 128 } } },
      ],
      [
        'value.dram_allocator.type',
        { value: dram },
        { value: { ...dram, dram_allocator: { type: 'R2_SLAB' } } },
      ],
      [
        'value.dram_allocator.size_classes',
        { value: dram },
        { value: { ...dram, dram_allocator: { size_classes: [64] } } },
      ],
      ['log.segment_bytes', {}, { log: { segment_bytes: 1024 ** 2 } }],
    ];
    for (const [path, before, after] of rows) {
      assert.throws(
        () => reopen(before, after),
        (error) =>
          error instanceof CairnError &&
          error.code === 'CAIRN_INCOMPATIBLE' &&
          error.problems?.some((problem) => problem.path === path) === true,
        path,
      );
    }
  });

  it('lets everything else change', () => {
    const opened: StoreConfig = {
      capacity: 7,
      durability: { level: 'interval', interval_ms: 5 },
      cache: { capacity_bytes: 0 },
      log: { capacity_bytes: 128 * 1024 ** 2, inline_value_bytes: 0 },
      io: { type: 'POSIX', queue_depth: 1, flush_every: 1, busy_poll_us: 1000, threads: 1 },
      value: { ssd_allocator: { capacity_bytes: 2 ** 30 }, default_value_size_hint: 9 },
      read_only: true,
      lock_timeout_ms: 0,
    };
    assert.deepEqual(reopen({}, opened), resolve(opened));
  });

  it('says when a field does not fit what is stored', () => {
    assert.throws(() => reopen(created, { log: { capacity_bytes: 1024 ** 2 } }), {
      code: 'CAIRN_INVALID_CONFIG',
    });
  });

  it('keeps the path, also one that the document names in the seed’s way', () => {
    const document = { value: { path: '/data/values' } };
    const config = resolveConfig(document, undefined, { machine });
    assert.equal(compareWithStored(config, toStoredJson(config)).path, '/data/values');
    const own = resolveConfig({ path: 'relative' }, undefined, { machine });
    assert.equal(compareWithStored(own, toStoredJson(own)).path, own.path);
  });

  it('refuses a stored text that it does not understand', () => {
    const good = toStoredJson(resolve());
    const broken = ['', '{', '7', 'null', '{}', good.replace('"version":1', '"version":2')];
    for (const field of ['key', 'index', 'value', 'log']) {
      broken.push(JSON.stringify({ ...(JSON.parse(good) as object), [field]: 1 }));
    }
    for (const text of broken) {
      assert.throws(() => compareWithStored(resolve(), text), { code: 'CAIRN_INCOMPATIBLE' }, text);
    }
  });

  it('refuses stored numbers, classes and paths that no document may have', () => {
    const config = resolve({
      value: {
        type: 'DRAM_VALUE_STORE',
        path: '/dev/shm/pool',
        dram_allocator: { type: 'PERSIST_MEMORY_POOL', size_classes: [64, 512] },
      },
    });
    const text = toStoredJson(config);
    // Nothing that a document could differ in is named.
    const asked = resolve();
    assert.deepEqual(compareWithStored(asked, text, { machine }).value, config.value);
    const refused = (edit: (stored: Record<string, Record<string, unknown>>) => void): void => {
      const stored = JSON.parse(text) as Record<string, Record<string, unknown>>;
      edit(stored);
      const edited = JSON.stringify(stored);
      assert.notEqual(edited, text);
      assert.throws(
        () => compareWithStored(asked, edited, { machine }),
        { code: 'CAIRN_INCOMPATIBLE' },
        edited,
      );
    };
    for (const bytes of ['1048576', 1.5, 0, 4096, 2 ** 31, 2 ** 20 + 1, -(2 ** 20)]) {
      refused(({ log }) => (log!['segment_bytes'] = bytes));
    }
    for (const classes of [
      64,
      [],
      Array(5000).fill(1),
      [0],
      ['64'],
      [64, 64],
      [512, 64],
      [2 ** 40],
    ]) {
      refused(({ value }) => {
        (value!['dram_allocator'] as Record<string, unknown>)['size_classes'] = classes;
      });
    }
    for (const path of ['/etc', '/dev/shm/../../etc', 'pool']) {
      refused(({ value }) => (value!['path'] = path));
    }
  });

  it('ignores fields of the stored text that it does not know', () => {
    const stored = JSON.stringify({ ...(JSON.parse(toStoredJson(resolve())) as object), later: 1 });
    compareWithStored(resolve(), stored);
  });

  it('is a document again, with the classes of its slots', () => {
    const value = {
      type: 'TIERED_VALUE_STORE',
      dram_allocator: { size_classes: [100, 512] },
      ssd_allocator: { type: 'SSD_SLAB', size_classes: [4096] },
    } as const;
    const document = documentOf(resolveConfig({ path: '/store', value }));
    assert.deepEqual(document.value?.dram_allocator?.size_classes, [100, 512]);
    assert.deepEqual(document.value?.ssd_allocator?.size_classes, [4096]);
  });
});
