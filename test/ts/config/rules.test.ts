import assert from 'node:assert/strict';
import { inspect } from 'node:util';
import { runInNewContext } from 'node:vm';
import { resolveConfig } from '../../../ts/config/resolve.js';
import { problemsOf, resolve } from './support.js';

const MIB = 1024 ** 2;

/** [document, path, given, start of allowed, suggestion] of the one problem it has. */
type Row = readonly [
  document: unknown,
  path: string,
  given: string,
  allowed: string,
  suggestion?: string,
];

function check(rows: readonly Row[]): void {
  for (const [document, path, given, allowed, suggestion] of rows) {
    const problems = problemsOf(() => resolve(document));
    const shown = inspect({ document, problems }, { depth: 9 });
    assert.equal(problems.length, 1, shown);
    const [problem] = problems;
    assert.equal(problem?.path, path, shown);
    assert.equal(problem.given, given, shown);
    assert.ok(problem.allowed.includes(allowed), shown);
    assert.equal(problem.suggestion, suggestion, shown);
  }
}

function ssd(ssdAllocator: unknown): unknown {
  return { value: { ssd_allocator: ssdAllocator } };
}

describe('configuration rules', () => {
  it('refuse what is no object', () => {
    check([
      [7, '', '7', 'an object with path, key'],
      ['text', '', '"text"', 'an object'],
      [null, '', 'null', 'an object'],
      [[1, 2], '', 'a list of 2', 'an object'],
      [() => 1, '', 'a function', 'an object'],
      [new Map(), '', 'an object that is no plain one', 'an object'],
      [{ key: 'u64' }, 'key', '"u64"', 'an object with type'],
      [{ index: null }, 'index', 'null', 'an object with type, cache_bytes, path, io'],
      [ssd([]), 'value.ssd_allocator', 'a list of 0', 'an object with type'],
      [ssd({ io: 3 }), 'value.ssd_allocator.io', '3', 'an object with type, queue_depth'],
    ]);
  });

  it('refuse unknown keys with the nearest one', () => {
    check([
      [{ capcity: 1 }, 'capcity', '1', 'one of path, key', 'capacity'],
      [{ readOnly: true }, 'readOnly', 'true', 'one of path', 'read_only'],
      [{ 'lock-timeout-ms': 1 }, '["lock-timeout-ms"]', '1', 'one of', 'lock_timeout_ms'],
      [{ zzz: 1 }, 'zzz', '1', 'one of path'],
      [{ value: { typ: 'X' } }, 'value.typ', '"X"', 'one of type, path', 'type'],
      [
        ssd({ sizeClasses: [] }),
        'value.ssd_allocator.sizeClasses',
        'a list of 0',
        'one of',
        'size_classes',
      ],
      [ssd({ io: { queue: 1 } }), 'value.ssd_allocator.io.queue', '1', 'one of', 'queue_depth'],
    ]);
  });

  it('refuse the older generations’ fields with their place', () => {
    check([
      [{ index_type: 'DRAM' }, 'index_type', '"DRAM"', 'one of', 'index.type'],
      [{ value_type: 'X' }, 'value_type', '"X"', 'one of', 'value.type'],
      [{ allocator_type: 'X' }, 'allocator_type', '"X"', 'one of', 'value.dram_allocator.type'],
      [{ io_backend_type: 'X' }, 'io_backend_type', '"X"', 'one of', 'io.type'],
      [{ value_size: 8 }, 'value_size', '8', 'one of', 'value.default_value_size_hint'],
      [{ shmcapacity: 8 }, 'shmcapacity', '8', 'one of', 'value.dram_allocator.capacity_bytes'],
      [{ ssdcapacity: 8 }, 'ssdcapacity', '8', 'one of', 'value.ssd_allocator.capacity_bytes'],
      [{ external_engine_type: 'X' }, 'external_engine_type', '"X"', 'one of', 'engine_type'],
      [{ file_path: '/x' }, 'file_path', '"/x"', 'one of', 'path'],
      [ssd({ file_path: '/x' }), 'value.ssd_allocator.file_path', '"/x"', 'one of'],
    ]);
  });

  it('refuse the names of object properties like any other', () => {
    check([
      [JSON.parse('{"__proto__": {"read_only": true}}'), '__proto__', 'an object', 'one of'],
      [{ constructor: 1 }, 'constructor', '1', 'one of'],
      [{ prototype: 1 }, 'prototype', '1', 'one of'],
      [{ value: JSON.parse('{"__proto__": 1}') as unknown }, 'value.__proto__', '1', 'one of type'],
      [{ index: { type: '__proto__' } }, 'index.type', '"__proto__"', 'one of DRAM_PET_HASH'],
      [{ value: { type: 'constructor' } }, 'value.type', '"constructor"', 'one of'],
      [{ io: { type: 'toString' } }, 'io.type', '"toString"', 'one of IOURING'],
    ]);
    assert.equal(Object.keys(Object.prototype).length, 0);
  });

  it('refuse unknown type names with the nearest one', () => {
    check([
      [
        { engine_type: 'KVEnginePetKV' },
        'engine_type',
        '"KVEnginePetKV"',
        'one of KVEngineComposite',
      ],
      [
        { engine_type: 'kvenginecomposite' },
        'engine_type',
        '"kvenginecomposite"',
        '',
        'KVEngineComposite',
      ],
      [
        { index: { type: 'DRAM_PET_HSAH' } },
        'index.type',
        '"DRAM_PET_HSAH"',
        'one of',
        'DRAM_PET_HASH',
      ],
      [{ value: { type: 'SSD_VALUE' } }, 'value.type', '"SSD_VALUE"', 'one of', 'SSD_VALUE_STORE'],
      [ssd({ type: 'ssd_slab' }), 'value.ssd_allocator.type', '"ssd_slab"', 'one of', 'SSD_SLAB'],
      [{ io: { type: 'IO_URING' } }, 'io.type', '"IO_URING"', 'one of', 'IOURING'],
      [{ io: { type: 5 } }, 'io.type', '5', 'one of IOURING, POSIX, SPDK'],
      [{ key: { type: 'U64' } }, 'key.type', '"U64"', 'one of u64, bytes', 'u64'],
      [{ durability: 'synch' }, 'durability', '"synch"', 'one of sync, interval', 'sync'],
      [{ durability: { level: 'Sync' } }, 'durability.level', '"Sync"', 'one of', 'sync'],
    ]);
  });

  it('check every number', () => {
    check([
      [{ capacity: 0 }, 'capacity', '0', 'an integer from 1 to 1099511627776 (keys)'],
      [{ capacity: 1.5 }, 'capacity', '1.5', 'an integer'],
      [{ capacity: '10' }, 'capacity', '"10"', 'an integer'],
      [{ capacity: NaN }, 'capacity', 'NaN', 'an integer'],
      [{ capacity: 2 ** 60 }, 'capacity', '1152921504606847000', 'an integer'],
      [{ initial_capacity: 0 }, 'initial_capacity', '0', 'an integer from 1 to 1048576 (buckets)'],
      [{ initial_capacity: 2 ** 20 + 1 }, 'initial_capacity', '1048577', 'from 1 to 1048576'],
      [{ initial_capacity: 1.5 }, 'initial_capacity', '1.5', 'an integer'],
      [{ capacity: 10n }, 'capacity', 'a bigint', 'an integer'],
      [{ lock_timeout_ms: -1 }, 'lock_timeout_ms', '-1', 'from 0 to 600000 (ms)'],
      [{ durability: { interval_ms: 0 } }, 'durability.interval_ms', '0', 'from 1 to 60000 (ms)'],
      [{ cache: { capacity_bytes: -1 } }, 'cache.capacity_bytes', '-1', 'from 0 to'],
      [
        ssd({ capacity_bytes: 4096 }),
        'value.ssd_allocator.capacity_bytes',
        '4096',
        'from 4194304 to',
      ],
      [
        ssd({ base_offset_bytes: 100 }),
        'value.ssd_allocator.base_offset_bytes',
        '100',
        'a multiple of 4096',
      ],
      [
        ssd({ min_block_size: 96 }),
        'value.ssd_allocator.min_block_size',
        '96',
        'a power of two from 64',
      ],
      [
        ssd({ max_block_size: 64 }),
        'value.ssd_allocator.max_block_size',
        '64',
        'at least min_block_size, which is 128',
      ],
      [
        { value: { default_value_size_hint: -4 } },
        'value.default_value_size_hint',
        '-4',
        'from 0 to 67108864 (bytes)',
      ],
      [
        { value: { tiering: { high_watermark_ratio: 0 } } },
        'value.tiering.high_watermark_ratio',
        '0',
        'above 0',
      ],
      [
        { value: { tiering: { high_watermark_ratio: 1.01 } } },
        'value.tiering.high_watermark_ratio',
        '1.01',
        'at most 1',
      ],
      [{ io: { queue_depth: 0 } }, 'io.queue_depth', '0', 'from 1 to 4096 (requests)'],
      [{ io: { queue_depth: 5000 } }, 'io.queue_depth', '5000', 'from 1 to 4096'],
      [{ io: { busy_poll_us: 1001 } }, 'io.busy_poll_us', '1001', 'from 0 to 1000 (microseconds)'],
      [{ io: { threads: 129 } }, 'io.threads', '129', 'from 1 to 128 (threads)'],
      [{ io: { base_offset_bytes: 512 } }, 'io.base_offset_bytes', '512', 'a multiple of 4096'],
      [
        { io: { queue_depth: 8, flush_every: 9 } },
        'io.flush_every',
        '9',
        'at most queue_depth, which is 8',
      ],
      [{ log: { segment_bytes: MIB + 1 } }, 'log.segment_bytes', '1048577', 'a multiple of 4096'],
      [{ log: { segment_bytes: 4096 } }, 'log.segment_bytes', '4096', 'from 262144 to'],
      [{ log: { capacity_bytes: 4096 } }, 'log.capacity_bytes', '4096', 'from 1048576 to'],
      [
        { log: { capacity_bytes: 2 * MIB, segment_bytes: MIB } },
        'log.capacity_bytes',
        '2097152',
        'at least 4 segments',
      ],
      [
        { log: { segment_bytes: MIB, inline_value_bytes: MIB } },
        'log.inline_value_bytes',
        '1048576',
        'from 0 to 262144',
      ],
      [
        { log: { inline_value_bytes: MIB } },
        'log.inline_value_bytes',
        '1048576',
        'from 0 to 524288',
      ],
    ]);
  });

  it('check lists of size classes', () => {
    const path = 'value.ssd_allocator.size_classes';
    check([
      [ssd({ size_classes: [] }), path, 'a list of 0', 'a list of 1 to 64 entries'],
      [ssd({ size_classes: 128 }), path, '128', 'a list of 1 to 64 entries'],
      [ssd({ size_classes: { 0: 1 } }), path, 'an object', 'a list'],
      [ssd({ size_classes: Array(65).fill(1) }), path, 'a list of 65', 'a list of 1 to 64'],
      [ssd({ size_classes: [128, 0] }), `${path}[1]`, '0', 'an integer from 1 to 67108864 (bytes)'],
      [ssd({ size_classes: [128, '256'] }), `${path}[1]`, '"256"', 'an integer'],
      [ssd({ size_classes: [128, 256, 128] }), `${path}[2]`, '128', 'each number only once'],
      [
        { value: { type: 'DRAM_VALUE_STORE', dram_allocator: { size_classes: [-1] } } },
        'value.dram_allocator.size_classes[0]',
        '-1',
        'an integer from 1',
      ],
    ]);
  });

  it('check switches and what they contradict', () => {
    check([
      [{ read_only: 'yes' }, 'read_only', '"yes"', 'true or false'],
      [{ create_if_missing: 1 }, 'create_if_missing', '1', 'true or false'],
      [
        { read_only: true, create_if_missing: true },
        'create_if_missing',
        'true',
        'false with read_only',
      ],
      [
        { read_only: true, error_if_exists: true },
        'error_if_exists',
        'true',
        'false with read_only',
      ],
      [
        { create_if_missing: false, error_if_exists: true },
        'error_if_exists',
        'true',
        'false when',
      ],
    ]);
  });

  it('refuse combinations that cannot work', () => {
    const dram = { type: 'DRAM_VALUE_STORE' };
    const tiered = { type: 'TIERED_VALUE_STORE' };
    check([
      [
        { value: { ...dram, ssd_allocator: {} } },
        'value.ssd_allocator',
        'an object',
        'absent with DRAM_VALUE_STORE',
      ],
      [
        { value: { dram_allocator: {} } },
        'value.dram_allocator',
        'an object',
        'absent with SSD_VALUE_STORE',
      ],
      [
        { value: { ...dram, dram_allocator: { path: '/dev/shm/x' } } },
        'value.dram_allocator.path',
        '"/dev/shm/x"',
        'absent with DRAM_VALUE_STORE',
        'path',
      ],
      [
        ssd({ path: '/data/x' }),
        'value.ssd_allocator.path',
        '"/data/x"',
        'absent with SSD_VALUE_STORE',
        'path',
      ],
      [
        { value: { ...tiered, path: '/data/x' } },
        'value.path',
        '"/data/x"',
        'absent with TIERED_VALUE_STORE',
        'path',
      ],
      [
        { value: { ...dram, path: '/data/x' } },
        'value.path',
        '"/data/x"',
        'empty or below /dev/shm/',
      ],
      [
        { value: { ...dram, path: '/dev/shm/../data' } },
        'value.path',
        '"/dev/shm/../data"',
        'empty or below /dev/shm/',
      ],
      [
        { value: { ...dram, path: '/dev/shmem' } },
        'value.path',
        '"/dev/shmem"',
        'empty or below /dev/shm/',
      ],
      [
        { value: { ...tiered, dram_allocator: { path: '/data/x' } } },
        'value.dram_allocator.path',
        '"/data/x"',
        'empty or below',
      ],
      [
        { index: { type: 'SSD', cache_bytes: 65536 } },
        'index.cache_bytes',
        '65536',
        'an integer from 262144 to 1099511627776 (bytes)',
      ],
      [
        { io: { type: 'POSIX' }, value: { ssd_allocator: { io: { type: 'IOURING' } } } },
        'value.ssd_allocator.io.type',
        '"IOURING"',
        'POSIX, as io.type says: one store has one I/O backend',
      ],
    ]);
  });

  it('list every problem at once', () => {
    const problems = problemsOf(() =>
      resolve({
        capacity: -1,
        index: { type: 'X' },
        value: { typ: 1, ssd_allocator: { type: 7 } },
        log: 3,
      }),
    );
    const paths = problems.map((problem) => problem.path).sort();
    assert.deepEqual(paths, [
      'capacity',
      'index.type',
      'log',
      'value.ssd_allocator.type',
      'value.typ',
    ]);
  });

  it('say in the message where, what is given, what is allowed and what was meant', () => {
    assert.throws(() => resolve({ index: { type: 'DRAM_PET_HSAH' } }), {
      message:
        'invalid configuration: index.type: "DRAM_PET_HSAH" is given, allowed is one of DRAM_PET_HASH, ' +
        'DRAM_EXTENDIBLE_HASH, DRAM_UNORDERED_MAP, SSD_EXTENDIBLE_HASH; did you mean DRAM_PET_HASH?',
    });
  });
});

describe('where the store is', () => {
  it('is said by the first argument or by path', () => {
    assert.equal(resolveConfig('/data/s').path, '/data/s');
    assert.equal(resolveConfig({ path: '/data/s' }).path, '/data/s');
    assert.equal(resolveConfig('/data/s/', { path: '/data/s' }).path, '/data/s');
    assert.equal(resolveConfig('s').path, `${process.cwd()}/s`);
  });

  it('has to be said', () => {
    for (const act of [
      () => resolveConfig({}),
      () => resolveConfig({ path: '' }),
      () => resolveConfig({ path: 5 as unknown as string }),
      () => resolveConfig({ path: 'a\0b' }),
      () => resolveConfig(''),
      () => resolveConfig('a\0b'),
      () => resolveConfig({ value: { type: 'DRAM_VALUE_STORE', path: '' } }),
    ]) {
      const problems = problemsOf(act);
      assert.deepEqual(
        problems.map((problem) => problem.path),
        ['path'],
      );
    }
    assert.equal(problemsOf(() => resolveConfig(undefined as unknown as string))[0]?.path, '');
    assert.equal(problemsOf(() => resolveConfig({ path: '/s' }, {}))[0]?.path, '');
    assert.equal(problemsOf(() => resolveConfig(42 as unknown as string)).length, 1);
  });

  it('cannot be said twice in two ways', () => {
    const [problem] = problemsOf(() => resolveConfig('/a', { path: '/b' }));
    assert.equal(problem?.path, 'path');
    assert.ok(problem.allowed.includes('/a'));
  });

  it('may be the place of the values in documents of the seed system', () => {
    const ofValue = { value: { path: '/data/values' } };
    assert.equal(resolveConfig(ofValue).path, '/data/values');
    assert.equal(resolveConfig({ index: { path: '/data/index' } }).path, '/data/index');
    assert.equal(resolveConfig({ ...ofValue, path: '/data/own' }).path, '/data/own');
    assert.equal(resolveConfig('/data/own', ofValue).path, '/data/own');
    const shm = { type: 'DRAM_VALUE_STORE', path: '/dev/shm/kv' };
    assert.equal(resolveConfig({ value: shm }).path, '/dev/shm/kv');
    const tiered = { type: 'TIERED_VALUE_STORE', ssd_allocator: { path: '/data/tiered' } };
    assert.equal(resolveConfig({ value: tiered }).path, '/data/tiered');
  });
});

describe('reading the document', () => {
  it('reads every getter exactly once', () => {
    let reads = 0;
    const log = {
      get segment_bytes() {
        reads += 1;
        return reads === 1 ? MIB : 'later';
      },
    };
    assert.equal(resolve({ log }).log.segmentBytes, MIB);
    assert.equal(reads, 1);
  });

  it('looks at own properties only', () => {
    const inherited = Object.create({ read_only: true, zzz: 1 }) as object;
    assert.equal(resolve(inherited).readOnly, false);
    class Options {
      capacity = 5;
    }
    assert.equal(resolve(new Options()).capacity, 5);
  });

  it('takes objects of another context', () => {
    const config = resolve(runInNewContext('({ key: { type: "u64" } })'));
    assert.equal(config.key.type, 'u64');
  });

  it('reports what cannot be read', () => {
    const throwing = {
      get capacity(): number {
        throw new Error('no');
      },
    };
    assert.deepEqual(problemsOf(() => resolve(throwing))[0], {
      path: 'capacity',
      given: 'unreadable (no)',
      allowed: 'an integer from 1 to 1099511627776 (keys)',
    });
    const throwsText = {
      get capacity(): number {
        // Whatever a getter throws.
        throw 'no';
      },
    };
    assert.equal(problemsOf(() => resolve(throwsText))[0]?.given, 'unreadable (it threw)');
    const hidden = new Proxy(
      {},
      {
        ownKeys: () => {
          throw 'no';
        },
      },
    );
    const [problem] = problemsOf(() => resolve({ io: hidden }));
    assert.equal(problem?.given, 'unreadable (it threw)');
    const text = { type: 'TIERED_VALUE_STORE', tiering: { high_watermark_ratio: '0.5' } };
    assert.match(
      problemsOf(() => resolve({ value: text }))[0]?.path ?? '',
      /high_watermark_ratio$/,
    );
    assert.equal(
      problemsOf(() => resolve({ capacity: Symbol('no') as unknown as number }))[0]?.given,
      'a symbol',
    );
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();
    assert.equal(problemsOf(() => resolve(proxy))[0]?.path, '');
    assert.equal(problemsOf(() => resolve({ log: proxy }))[0]?.path, 'log');
  });

  it('ends on cycles and on huge documents', () => {
    const cyclic: Record<string, unknown> = {};
    cyclic['value'] = cyclic;
    problemsOf(() => resolve(cyclic));
    const wide = Object.fromEntries(Array.from({ length: 200_000 }, (_, at) => [`k${at}`, at]));
    problemsOf(() => resolve(wide));
    problemsOf(() => resolve({ value: { ssd_allocator: { size_classes: Array(1e6).fill(1) } } }));
    problemsOf(() => resolve({ ['x'.repeat(1e6)]: 1 }));
  });
});
