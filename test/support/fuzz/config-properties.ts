import assert from 'node:assert/strict';
import { CairnError } from '../../../ts/common/errors.js';
import { GIB } from '../../../ts/common/units.js';
import { resolveConfig } from '../../../ts/config/resolve.js';
import { compareWithStored, toStoredJson } from '../../../ts/config/stored.js';
import type { ResolvedConfig, StoreConfig } from '../../../ts/config/types.js';

const machine = { memoryBytes: 16 * GIB };

type Own = ReadonlyMap<PropertyKey, unknown>;
const ownOf = (prototype: object): Own =>
  new Map(Reflect.ownKeys(prototype).map((key) => [key, Reflect.get(prototype, key)]));
const PROTOTYPES = [Object.prototype, Array.prototype].map((it) => [it, ownOf(it)] as const);

function assertCleanPrototypes(): void {
  for (const [prototype, before] of PROTOTYPES) {
    assert.equal(Reflect.ownKeys(prototype).length, before.size, 'a prototype has a new property');
    for (const [key, value] of before) {
      assert.ok(Object.is(Reflect.get(prototype, key), value), `${String(key)} is another one`);
    }
  }
}

/** Does it return? Otherwise it must be an error with one of these codes and a list of problems. */
function returnsOrRefuses(act: () => void, codes: readonly string[]): boolean {
  try {
    act();
    return true;
  } catch (error) {
    if (!(error instanceof CairnError)) throw error;
    assert.ok(codes.includes(error.code), error.stack);
    if (error.code === 'CAIRN_INVALID_CONFIG') assert.ok((error.problems?.length ?? 0) > 0);
    return false;
  }
}

function check(act: () => void, codes: readonly string[]): boolean {
  const begin = process.cpuUsage();
  const returned = returnsOrRefuses(act, codes);
  // Processor time: how long the machine took for others says nothing about the resolver.
  const { user, system } = process.cpuUsage(begin);
  assert.ok(user + system < 100_000, 'more than 100 ms');
  assertCleanPrototypes();
  return returned;
}

function assertRoundTrip(config: ResolvedConfig): void {
  assert.equal(typeof config.path, 'string');
  assert.ok(Object.isFrozen(config));
  assert.deepEqual(compareWithStored(config, toStoredJson(config), { machine }), config);
}

/** A configuration that round-trips, or a typed error that names its problems; never slow. */
export function resolveOrRefuse(first: unknown, second: unknown): boolean {
  return check(
    () => assertRoundTrip(resolveConfig(first as string, second as StoreConfig, { machine })),
    ['CAIRN_INVALID_CONFIG'],
  );
}

/** The text in the place of the configuration that a store has in its manifest. */
export function readStoredOrRefuse(text: string): boolean {
  const asked = resolveConfig('/s', undefined, { machine });
  return check(
    () => assertRoundTrip(compareWithStored(asked, text, { machine })),
    ['CAIRN_INCOMPATIBLE', 'CAIRN_INVALID_CONFIG'],
  );
}
