import { asError, CairnError } from '../common/errors.js';
import { LATER_NAMES, SLOT_FIELDS, SLOTS, type Slot } from '../config/names.js';
import { typeNameOf, type ResolvedConfig } from '../config/types.js';
import type { Registry } from '../registry/registry.js';
import type { Factories } from './factories.js';

/**
 * What a factory makes. What one of somebody else throws gets a code, and nothing is used that it did
 * not make.
 */
export function made<T>(slot: Slot, name: string, make: () => T): T {
  try {
    return checked(slot, name, make());
  } catch (error) {
    throw factoryError(slot, name, error);
  }
}

/** {@link made}, of a factory that may take its time. */
export async function madeAsync<T>(slot: Slot, name: string, make: () => Promise<T>): Promise<T> {
  try {
    return checked(slot, name, await make());
  } catch (error) {
    throw factoryError(slot, name, error);
  }
}

/**
 * A store of a type that a program registered may be opened by one that did not.
 *
 * @throws CairnError CAIRN_INCOMPATIBLE
 */
export function checkStoredTypes(config: ResolvedConfig, registry: Registry<Factories>): void {
  for (const slot of SLOTS) {
    const name = typeNameOf(config, slot);
    if (name === undefined || registry.has(slot, name) || LATER_NAMES[slot].has(name)) continue;
    throw new CairnError(
      'CAIRN_INCOMPATIBLE',
      `${config.path}: the store was created with ${SLOT_FIELDS[slot]} ${name}, which is not registered: ` +
        'register it and pass the registry to open',
      { operation: 'open', file: config.path },
    );
  }
}

function checked<T>(slot: Slot, name: string, thing: T): T {
  if (typeof thing === 'object' && thing !== null) return thing;
  throw new CairnError(
    'CAIRN_INVALID_ARGUMENT',
    `${SLOT_FIELDS[slot]}: the factory of ${name} made nothing`,
    { operation: 'open' },
  );
}

function factoryError(slot: Slot, name: string, error: unknown): CairnError {
  if (error instanceof CairnError) return error;
  return new CairnError(
    'CAIRN_INVALID_ARGUMENT',
    `${SLOT_FIELDS[slot]}: the factory of ${name} failed: ${asError(error).message}`,
    { operation: 'open', cause: error },
  );
}
