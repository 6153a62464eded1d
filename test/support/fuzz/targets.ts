import { SeededRandom } from '../crash/random.js';
import { changeInput } from './changes.js';
import { CONFIG_TARGETS } from './config-target.js';
import type { FuzzTarget } from './fuzz-target.js';
import { IMPORT_TARGETS } from './import-targets.js';

/** scripts/fuzz/typescript.mjs has their names as well. */
export const TARGETS: readonly FuzzTarget[] = [...IMPORT_TARGETS, ...CONFIG_TARGETS];

/** What libFuzzer asks for: the same change for the same seed. */
export function changeOf(target: FuzzTarget, input: Buffer, seed: number): Buffer {
  return changeInput(new SeededRandom(seed), input, target.words);
}
