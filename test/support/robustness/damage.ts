import type { SimDisk } from '../../../ts/bindings/addon.js';
import { isCairnError, type ErrorCode } from '../../../ts/common/errors.js';
import type { Store } from '../../../ts/engine/api.js';
import { abandon, openSmall, type Contents, type SmallStore } from './small-stores.js';

/** What came of a damaged store, when nothing is wrong with that. */
export interface Outcome {
  /** Of the error that opening gave; undefined when it opened. */
  readonly refused: ErrorCode | undefined;
  /** Keys whose reading gave an error. */
  readonly damaged: readonly string[];
  /** Last writes are gone; see Allowance.lostMax. */
  readonly shortened: boolean;
}

const NEVER_WRITTEN = 'never-written';

/** How much damage of a kind may undo. */
export interface Allowance {
  /** Codes that errors may have. */
  readonly codes?: readonly ErrorCode[];
  /**
   * Last writes of the log that may be gone. Nothing behind them says that they were there; a file
   * that is gone or blank takes its own evidence with it. @default 1
   */
  readonly lostMax?: number;
}

const CODES: readonly ErrorCode[] = ['CAIRN_CORRUPTION', 'CAIRN_INCOMPATIBLE'];

/**
 * Opens a copy of `small` after `damage`, reads every key and verifies it.
 *
 * @throws Error when a value is wrong, an error has no type, or `verify` finds what reading does not,
 *   or the other way round.
 */
export async function openDamaged(
  small: SmallStore,
  damage: (disk: SimDisk) => void,
  { codes = CODES, lostMax = 1 }: Allowance = {},
): Promise<Outcome> {
  const disk = small.copy();
  damage(disk);
  let store: Store | undefined;
  try {
    store = await openSmall(disk, small.config);
    const outcome = readAll(small, store, codes, lostMax);
    const { damagedCount } = await store.verify();
    if (damagedCount > 0 !== outcome.damaged.length > 0) {
      throw new Error(`verify finds ${damagedCount}, reading ${outcome.damaged.join(' ')}`);
    }
    return outcome;
  } catch (error) {
    if (store !== undefined) throw error;
    return { refused: codeOf(error, codes), damaged: [], shortened: false };
  } finally {
    if (store !== undefined) await abandon(disk, store);
    disk.release();
  }
}

function readAll(
  small: SmallStore,
  store: Store,
  codes: readonly ErrorCode[],
  lostMax: number,
): Outcome {
  const damaged: string[] = [];
  const found = new Map<string, Buffer>();
  const keys = new Set([...small.states.flatMap((state) => [...state.keys()]), NEVER_WRITTEN]);
  for (const key of keys) {
    try {
      const value = store.getSync(key);
      if (value !== undefined) found.set(key, value);
    } catch (error) {
      codeOf(error, codes);
      damaged.push(key);
    }
  }
  const latest = small.states.at(-1) as Contents;
  const wrong = difference(latest, found, damaged);
  if (wrong === undefined) {
    if (store.size !== latest.size) throw new Error(`size is ${store.size}`);
    return { refused: undefined, damaged, shortened: false };
  }
  const earlier = small.states.slice(0, -1).slice(-lostMax);
  if (!earlier.some((state) => difference(state, found, damaged) === undefined)) {
    throw new Error(wrong);
  }
  return { refused: undefined, damaged, shortened: true };
}

function difference(
  expected: Contents,
  found: Contents,
  damaged: readonly string[],
): string | undefined {
  for (const key of new Set([...expected.keys(), ...found.keys()])) {
    if (damaged.includes(key)) continue;
    const right = expected.get(key);
    const value = found.get(key);
    if (value === undefined) return `${key} is absent`;
    if (right === undefined) return `${key} is there`;
    if (!right.equals(value)) return `${key} has a wrong value of ${value.length} bytes`;
  }
  return undefined;
}

function codeOf(error: unknown, codes: readonly ErrorCode[]): ErrorCode {
  if (!isCairnError(error)) throw error;
  if (codes.includes(error.code)) return error.code;
  throw new Error(`the error has code ${error.code}: ${error.message}`, { cause: error });
}
