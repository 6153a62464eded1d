import assert from 'node:assert/strict';
import { BUILTIN_NAMES, LATER_NAMES, SLOTS } from '../../../ts/config/names.js';
import type { Slot } from '../../../ts/config/names.js';
import { resolveConfig } from '../../../ts/config/resolve.js';
import { Registry } from '../../../ts/registry/registry.js';

type Factories = Readonly<Record<Slot, () => string>>;

function builtins(): Registry<Factories> {
  const registry = new Registry<Factories>();
  for (const slot of SLOTS) {
    for (const name of BUILTIN_NAMES[slot]) registry.register(slot, name, () => name);
  }
  return registry;
}

describe('Registry', () => {
  it('gives back the factory that was registered, per slot', () => {
    const registry = builtins();
    assert.equal(registry.get('index', 'DRAM_PET_HASH')(), 'DRAM_PET_HASH');
    assert.equal(registry.get('io', 'POSIX')(), 'POSIX');
    assert.deepEqual(registry.names('io'), ['IOURING', 'POSIX']);
    assert.equal(registry.has('io', 'POSIX'), true);
    assert.equal(registry.has('index', 'POSIX'), false);
    assert.deepEqual(registry.allNames(), BUILTIN_NAMES);
  });

  it('holds nothing in common with another registry', () => {
    assert.deepEqual(new Registry<Factories>().names('index'), []);
  });

  it('refuses a name that is taken', () => {
    const registry = builtins();
    assert.throws(() => registry.register('index', 'DRAM_PET_HASH', () => ''), {
      code: 'CAIRN_INVALID_ARGUMENT',
      message: /DRAM_PET_HASH is registered already/,
    });
    assert.throws(() => registry.register('index', 'DRAM', () => ''), {
      code: 'CAIRN_INVALID_ARGUMENT',
      message: /DRAM is an alias of DRAM_EXTENDIBLE_HASH/,
    });
  });

  it('refuses names that are no names', () => {
    const bad = ['', 'a', 'lower', '__proto__', 'constructor', 'A B', '1A', 'A-B', 'X'.repeat(65)];
    for (const name of [...bad, undefined, 7] as string[]) {
      assert.throws(() => builtins().register('value', name, () => ''), {
        code: 'CAIRN_INVALID_ARGUMENT',
      });
    }
  });

  it('refuses a slot that is none', () => {
    for (const slot of ['__proto__', 'log', undefined] as unknown as Slot[]) {
      assert.throws(() => builtins().get(slot, 'X'), { code: 'CAIRN_INVALID_ARGUMENT' });
    }
  });

  it('says of an unknown name which ones there are and which is nearest', () => {
    assert.throws(() => builtins().get('ssdAllocator', 'SSD_SLUB'), {
      code: 'CAIRN_INVALID_CONFIG',
      problems: [
        {
          path: 'value.ssd_allocator.type',
          given: '"SSD_SLUB"',
          allowed: 'one of SSD_SLAB, SSD_BUDDY',
          suggestion: 'SSD_SLAB',
        },
      ],
    });
  });

  it('treats the names of object properties as unknown', () => {
    for (const name of ['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty']) {
      assert.throws(() => builtins().get('index', name), { code: 'CAIRN_INVALID_CONFIG' });
      assert.equal(builtins().has('index', name), false);
    }
  });

  it('says of a type that comes later what to use instead', () => {
    for (const slot of SLOTS) {
      for (const [name, instead] of LATER_NAMES[slot]) {
        assert.throws(
          () => builtins().get(slot, name),
          (error: Error & { code?: string }) =>
            error.code === 'CAIRN_UNSUPPORTED' &&
            error.message.includes(name) &&
            error.message.includes(`use ${instead}`),
        );
      }
    }
    assert.throws(() => builtins().get('io', 'SPDK'), {
      code: 'CAIRN_UNSUPPORTED',
      message: /^io\.type: SPDK is not in this version of cairn-kv; use IOURING/,
    });
  });

  it('takes a type that comes later once somebody registers it', () => {
    const registry = builtins();
    registry.register('io', 'SPDK', () => 'spdk');
    assert.equal(registry.get('io', 'SPDK')(), 'spdk');
  });

  it('lets a configuration name a third party type', () => {
    const registry = builtins();
    const document = { path: '/s', index: { type: 'MY_INDEX' } };
    assert.throws(() => resolveConfig(document), { code: 'CAIRN_INVALID_CONFIG' });
    registry.register('index', 'MY_INDEX', () => 'mine');
    const resolved = resolveConfig(document, undefined, { names: registry.allNames() });
    assert.equal(registry.get('index', resolved.index.type)(), 'mine');
  });
});
