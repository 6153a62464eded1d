import { open } from '../../../ts/index.js';
import { combinations, configOf, nameOf } from '../matrix/combination.js';

/** Neighbours in the list differ in one allocator only. A prime, so that all have their turn. */
const STEP = 37;

/** Small, so that a few cycles rotate it. */
export const LOG = { capacity_bytes: 4 << 20, segment_bytes: 1 << 20 };

/**
 * Makes an empty store for the writer's keys, of all combinations of types in turn.
 *
 * @param turn the number of stores before it; the same one gives the same kind.
 * @returns what it is made of.
 */
export async function makeStoreInTurn(path: string, turn: number): Promise<string> {
  const all = combinations();
  const kind = all[(turn * STEP) % all.length];
  if (kind === undefined) throw new RangeError('no combination is registered');
  const config = configOf(kind, 'IOURING');
  const store = await open(path, { ...config, key: { type: 'bytes' }, log: LOG });
  await store.close();
  return nameOf(kind);
}
