import { CairnError } from '../common/errors.js';
import { ALIASES, LATER_NAMES, SLOT_FIELDS, SLOTS } from '../config/names.js';
import type { RegisteredNames, Slot } from '../config/names.js';
import { invalidConfig } from '../config/resolve.js';
import { nearestName } from '../config/suggest.js';

// UPPER_CASE by convention; the engine's own name is mixed. No lower-case start, so that no name
// looks like a property of an object.
const NAME_PATTERN = /^[A-Z][A-Za-z0-9_]{0,63}$/;

/**
 * From type names to factories, per slot. It knows no implementation: `engine/builtins.ts` registers
 * the built-in ones by an explicit list, third parties add theirs the same way.
 *
 * `Factories` gives the type of a factory per slot.
 */
export class Registry<Factories extends Readonly<Record<Slot, unknown>>> {
  readonly #slots: ReadonlyMap<Slot, Map<string, unknown>> = new Map(
    SLOTS.map((slot) => [slot, new Map<string, unknown>()]),
  );

  /**
   * @param name 1 to 64 letters, digits and `_`, beginning with a capital letter.
   * @throws CairnError CAIRN_INVALID_ARGUMENT: an unknown slot, a bad name, a name that is taken, no
   *   factory.
   */
  register<S extends Slot>(slot: S, name: string, factory: Factories[S]): void {
    const factories = this.#factories(slot);
    if (typeof name !== 'string' || !NAME_PATTERN.test(name)) {
      throw new CairnError(
        'CAIRN_INVALID_ARGUMENT',
        `register ${slot}: ${JSON.stringify(name)} is no type name; a name has 1 to 64 letters, digits and _, beginning with a capital letter`,
        { operation: 'register' },
      );
    }
    const alias = ALIASES[slot].get(name);
    if (factories.has(name) || alias !== undefined) {
      const taken = alias === undefined ? 'is registered already' : `is an alias of ${alias}`;
      throw new CairnError('CAIRN_INVALID_ARGUMENT', `register ${slot}: ${name} ${taken}`, {
        operation: 'register',
      });
    }
    if (typeof factory !== 'function') {
      throw new CairnError(
        'CAIRN_INVALID_ARGUMENT',
        `register ${slot}: the factory of ${name} is no function`,
        { operation: 'register' },
      );
    }
    factories.set(name, factory);
  }

  /**
   * @param name as in a resolved configuration; aliases are understood.
   * @throws CairnError CAIRN_UNSUPPORTED for a known type that this version does not have,
   *   CAIRN_INVALID_CONFIG for an unknown one, with the nearest name.
   */
  get<S extends Slot>(slot: S, name: string): Factories[S] {
    const factories = this.#factories(slot);
    const canonical = ALIASES[slot].get(name) ?? name;
    if (factories.has(canonical)) return factories.get(canonical);

    const instead = LATER_NAMES[slot].get(canonical);
    if (instead !== undefined) {
      throw new CairnError(
        'CAIRN_UNSUPPORTED',
        `${SLOT_FIELDS[slot]}: ${canonical} is not in this version of cairn-kv; use ${instead}`,
        { operation: 'open' },
      );
    }
    const names = this.names(slot);
    const suggestion = typeof name === 'string' ? nearestName(name, names) : undefined;
    throw invalidConfig([
      {
        path: SLOT_FIELDS[slot],
        given: typeof name === 'string' ? JSON.stringify(name.slice(0, 64)) : typeof name,
        allowed: `one of ${names.join(', ')}`,
        ...(suggestion === undefined ? {} : { suggestion }),
      },
    ]);
  }

  has(slot: Slot, name: string): boolean {
    return this.#factories(slot).has(ALIASES[slot].get(name) ?? name);
  }

  /** In the order of registration. */
  names(slot: Slot): string[] {
    return [...this.#factories(slot).keys()];
  }

  /** What `resolveConfig` takes. */
  allNames(): RegisteredNames {
    return Object.fromEntries(
      SLOTS.map((slot) => [slot, this.names(slot)]),
    ) as unknown as RegisteredNames;
  }

  #factories(slot: Slot): Map<string, unknown> {
    const factories = this.#slots.get(slot);
    if (factories === undefined) {
      throw new CairnError(
        'CAIRN_INVALID_ARGUMENT',
        `${String(slot)} is no slot of the registry; the slots are ${SLOTS.join(', ')}`,
      );
    }
    return factories;
  }
}
