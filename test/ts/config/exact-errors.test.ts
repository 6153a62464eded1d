import assert from 'node:assert/strict';
import type { CairnError } from '../../../ts/common/errors.js';
import {
  acceptedNames,
  ALIASES,
  BUILTIN_NAMES,
  SLOT_FIELDS,
  SLOTS,
} from '../../../ts/config/names.js';
import { problemsOf, resolve } from './support.js';

const [KIB, MIB, GIB, TIB] = [2 ** 10, 2 ** 20, 2 ** 30, 2 ** 40];

/** `{ a: { b: value } }` for `a.b`; a value store of the type that the allocator goes with. */
function documentWith(path: string, value: unknown): unknown {
  const document: Record<string, unknown> = {};
  let target = document;
  const keys = path.split('.');
  for (const key of keys.slice(0, -1)) target = target[key] = {} as Record<string, unknown>;
  target[keys.at(-1) as string] = value;
  if (keys[1] === 'dram_allocator') {
    (document['value'] as Record<string, unknown>)['type'] = 'DRAM_VALUE_STORE';
  }
  return document;
}

function assertOne(path: string, value: unknown, given: string, allowed: string): void {
  const problems = problemsOf(() => resolve(documentWith(path, value)));
  assert.equal(problems.length, 1, `${path}: ${JSON.stringify(problems)}`);
  const [problem] = problems;
  assert.deepEqual([problem?.path, problem?.given, problem?.allowed], [path, given, allowed]);
}

/** Every integer of the document: where, smallest, largest, unit, what it is a multiple of. */
const INTEGERS: readonly (readonly [string, number, number, string, number?])[] = [
  ['capacity', 1, 2 ** 40, 'keys'],
  ['initial_capacity', 1, 2 ** 20, 'buckets'],
  ['lock_timeout_ms', 0, 600_000, 'ms'],
  ['durability.interval_ms', 1, 60_000, 'ms'],
  ['cache.capacity_bytes', 0, TIB, 'bytes'],
  ['value.default_value_size_hint', 0, 64 * MIB, 'bytes'],
  ['value.dram_allocator.capacity_bytes', MIB, 64 * TIB, 'bytes'],
  ['value.ssd_allocator.capacity_bytes', 4 * MIB, 64 * TIB, 'bytes'],
  ['value.ssd_allocator.base_offset_bytes', 0, 64 * TIB, 'bytes', 4096],
  ['log.capacity_bytes', MIB, TIB, 'bytes'],
  ['log.segment_bytes', 256 * KIB, GIB, 'bytes', 4096],
  ['log.inline_value_bytes', 0, 512 * KIB, 'bytes'],
  ...['io', 'index.io', 'value.ssd_allocator.io'].flatMap((io) => [
    [`${io}.queue_depth`, 1, 4096, 'requests'] as const,
    [`${io}.busy_poll_us`, 0, 1000, 'microseconds'] as const,
    [`${io}.threads`, 1, 128, 'threads'] as const,
    [`${io}.base_offset_bytes`, 0, 64 * TIB, 'bytes', 4096] as const,
  ]),
];

describe('the exact error of a rule', () => {
  for (const [path, min, max, unit, multipleOf] of INTEGERS) {
    it(`for the integer ${path}`, () => {
      const range = `an integer from ${min} to ${max} (${unit})`;
      const allowed = multipleOf === undefined ? range : `${range}, a multiple of ${multipleOf}`;
      const wrong: unknown[] = [min - 1, max + (multipleOf ?? 1), 1.5, NaN, Infinity];
      if (multipleOf !== undefined) wrong.push(min + 1);
      for (const value of wrong) assertOne(path, value, String(value), allowed);
      assertOne(path, '7', '"7"', allowed);
      assertOne(path, null, 'null', allowed);
      assertOne(path, true, 'true', allowed);
      assertOne(path, [], 'a list of 0', allowed);
      // The ends themselves are fine, as far as other fields let them be.
      resolve(documentWith(path, min));
      if (!/^log\./.test(path)) resolve(documentWith(path, max));
    });
  }

  for (const size of ['min_block_size', 'max_block_size']) {
    it(`for value.ssd_allocator.${size}`, () => {
      const path = `value.ssd_allocator.${size}`;
      const allowed = 'a power of two from 64 to 67108864 (bytes)';
      for (const value of [32, 65, 2 ** 27, 4096.5]) assertOne(path, value, String(value), allowed);
    });
  }

  it('for max_block_size below min_block_size', () => {
    const sizes = { min_block_size: 256, max_block_size: 128 };
    const problems = problemsOf(() => resolve({ value: { ssd_allocator: sizes } }));
    assert.deepEqual(problems, [
      {
        path: 'value.ssd_allocator.max_block_size',
        given: '128',
        allowed: 'at least min_block_size, which is 256',
      },
    ]);
  });

  it('for size_classes with SSD_BUDDY', () => {
    const allocator = { type: 'SSD_BUDDY', size_classes: [128, 4096] };
    const problems = problemsOf(() => resolve({ value: { ssd_allocator: allocator } }));
    assert.deepEqual(problems, [
      {
        path: 'value.ssd_allocator.size_classes',
        given: 'a list of 2',
        allowed: 'absent with SSD_BUDDY, which fits every size by itself',
      },
    ]);
  });

  for (const path of ['read_only', 'create_if_missing', 'error_if_exists']) {
    it(`for the switch ${path}`, () => {
      for (const value of [0, 1, 'true', null, []] as const) {
        const given =
          value === null ? 'null' : Array.isArray(value) ? 'a list of 0' : JSON.stringify(value);
        assertOne(path, value, given, 'true or false');
      }
    });
  }

  for (const path of ['value.path', 'index.path', 'path']) {
    it(`for the path ${path}`, () => {
      const allowed = 'a path: a string without NUL characters';
      assertOne(path, 7, '7', allowed);
      assertOne(path, 'a\0b', '"a\\u0000b"', allowed);
    });
  }

  it('for the ratio value.tiering.high_watermark_ratio', () => {
    for (const value of [0, -1, 1.01, NaN]) {
      const path = 'value.tiering.high_watermark_ratio';
      assertOne(path, value, String(value), 'a number above 0 and at most 1');
    }
  });

  // From the registered names, so that it holds for types that are added.
  for (const slot of SLOTS) {
    it(`for the type ${SLOT_FIELDS[slot]}`, () => {
      const allowed = `one of ${acceptedNames(slot, BUILTIN_NAMES).join(', ')}`;
      const path = SLOT_FIELDS[slot];
      for (const value of ['QQQQQQ', '', '__proto__']) {
        assertOne(path, value, JSON.stringify(value), allowed);
      }
      assertOne(path, 7, '7', allowed);
      assertOne(path, null, 'null', allowed);
      for (const alias of ALIASES[slot].keys()) {
        if (slot !== 'index') resolve(documentWith(path, alias));
      }
    });
  }

  for (const [path, names] of [
    ['key.type', 'u64, bytes'],
    ['durability.level', 'sync, interval, process, none'],
  ] as const) {
    it(`for the choice ${path}`, () => {
      assertOne(path, 'QQQQQQ', '"QQQQQQ"', `one of ${names}`);
      assertOne(path, 7, '7', `one of ${names}`);
    });
  }

  // recstore.md 2.1, rules 2 and 3: fields of older generations.
  for (const [field, replacement] of [
    ['index_type', 'index.type'],
    ['value_type', 'value.type'],
    ['allocator_type', 'value.dram_allocator.type'],
    ['value_memory_management', 'value.dram_allocator.type'],
    ['io_backend_type', 'io.type'],
    ['queue_depth', 'io.queue_depth'],
    ['value_size', 'value.default_value_size_hint'],
    ['shmcapacity', 'value.dram_allocator.capacity_bytes'],
    ['ssdcapacity', 'value.ssd_allocator.capacity_bytes'],
    ['external_engine_type', 'engine_type'],
    ['file_path', 'path'],
    ['mode', 'value.type'],
    ['value_layout', 'value.type'],
  ] as const) {
    it(`for ${field}, which became ${replacement}`, () => {
      const [problem, ...more] = problemsOf(() => resolve({ [field]: 1 }));
      assert.deepEqual(more, []);
      assert.deepEqual(problem, {
        path: field,
        given: '1',
        allowed:
          'one of path, key, durability, read_only, create_if_missing, error_if_exists, ' +
          'lock_timeout_ms, engine_type, capacity, initial_capacity, index, value, cache, log, io',
        suggestion: replacement,
      });
    });
  }

  it('for all of many, of which the message has fifty', () => {
    const document = Object.fromEntries(Array.from({ length: 60 }, (_, at) => [`x${at}`, 1]));
    assert.throws(
      () => resolve(document),
      (error: CairnError) =>
        error.problems?.length === 60 && /\n {2}x49: [^\n]*\n {2}and 10 more$/.test(error.message),
    );
  });

  it('for backends that differ, whichever two say so', () => {
    for (const [first, second] of [
      ['io', 'index.io'],
      ['io', 'value.ssd_allocator.io'],
      ['value.ssd_allocator.io', 'index.io'],
    ] as const) {
      const document: Record<string, unknown> = {
        ...(documentWith(`${first}.type`, 'POSIX') as object),
        ...(documentWith(`${second}.type`, 'IOURING') as object),
      };
      assert.deepEqual(
        problemsOf(() => resolve(document)),
        [
          {
            path: `${second}.type`,
            given: '"IOURING"',
            allowed: `POSIX, as ${first}.type says: one store has one I/O backend`,
          },
        ],
      );
    }
  });
});
