import { isCairnError } from '../../../ts/common/errors.js';
import { resolveConfig } from '../../../ts/config/resolve.js';
import { allocatorsOf } from '../../../ts/config/resolve-value.js';
import type { StoreConfig } from '../../../ts/config/types.js';
import { createRegistry } from '../../../ts/engine/builtins.js';

/** One index, one value store and the allocators it uses. */
export interface Combination {
  readonly index: string;
  readonly value: string;
  readonly dram: string | undefined;
  readonly ssd: string | undefined;
}

/** Where a combination runs. */
export interface Site extends Combination {
  readonly io: string;
  /** An existing directory of its own. */
  readonly directory: string;
}

const registry = createRegistry();
export const IO_TYPES: readonly string[] = registry.names('io');

/** Whatever is registered, so that a new type joins by itself; what the resolver refuses is left out. */
export function combinations(): Combination[] {
  return registry.names('index').flatMap((index) =>
    registry.names('value').flatMap((value) => {
      const uses = allocatorsOf(value) ?? { dram: false, ssd: false };
      const drams = uses.dram ? registry.names('dramAllocator') : [undefined];
      const ssds = uses.ssd ? registry.names('ssdAllocator') : [undefined];
      return drams
        .flatMap((dram) => ssds.map((ssd) => ({ index, value, dram, ssd })))
        .filter(isValid);
    }),
  );
}

export function nameOf({ index, value, dram, ssd }: Combination): string {
  return [index, value, dram, ssd].filter((name) => name !== undefined).join(' ');
}

/** u64 keys: the behaviours are those of a store of u64 keys. */
export function configOf(combination: Combination, io: string): StoreConfig {
  const { index, value, dram, ssd } = combination;
  return {
    key: { type: 'u64' },
    // What is acknowledged survives the end of the process, and nothing waits for the device.
    durability: 'process',
    lock_timeout_ms: 10_000,
    index: { type: index },
    value: {
      type: value,
      ...(dram === undefined ? {} : { dram_allocator: { type: dram } }),
      ...(ssd === undefined ? {} : { ssd_allocator: { type: ssd } }),
    },
    io: { type: io },
  };
}

function isValid(combination: Combination): boolean {
  try {
    resolveConfig('/nowhere', configOf(combination, 'POSIX'), { names: registry.allNames() });
    return true;
  } catch (error) {
    if (isCairnError(error, 'CAIRN_INVALID_CONFIG')) return false;
    throw error;
  }
}
