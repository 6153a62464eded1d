import type { CrashChoice, SimDisk } from '../../../ts/bindings/addon.js';
import type { Store } from '../../../ts/engine/api.js';
import type { KnownImages } from './known-images.js';
import { NEVER } from './oracle.js';
import type { Contents } from './oracle.js';
import type { SeededRandom } from './random.js';
import type { Recording } from './recording.js';
import { differenceOf, KeysToRead, openOn, readAll, storeKey } from './store.js';

/**
 * One crash, or one and another during the recovery from it. When the first is `all`, a kill, what
 * was not durable then is still open to the second.
 */
export interface CrashState {
  readonly point: number;
  readonly choice: CrashChoice;
  readonly second?: { readonly point: number; readonly choice: CrashChoice };
  /** What was read is all there is to check: no write, close and reopen after it. */
  readonly brief?: boolean;
  /** Unless its very bytes were met before it is opened: its recovery is to be crashed as well. */
  readonly twice?: boolean;
}

/** Up to so many free sectors, or pages, every combination is tried. */
const EXHAUSTIVE_SECTORS = 12;
const EXHAUSTIVE_PAGES = 4;
const SECTOR_BYTES = 512;
const PAGE_BYTES = 4096;

/** The states at a point: thousands perhaps, of which a few are tried; one is made when it is asked for. */
export interface Choices {
  readonly count: number;
  /** @param index 0 to count - 1. */
  at(index: number): CrashChoice;
}

/**
 * The states at a point: every combination of up to 12 free sectors of 512 B; of more, every
 * combination of up to 4 pages of 4 KiB, or all prefixes, all but one and one alone of these, and
 * `randomCount` seeded ones of both; and always what a killed process leaves behind.
 */
export function choicesAt(
  disk: SimDisk,
  point: number,
  random: SeededRandom,
  randomCount: number,
): Choices {
  const sectors = disk.freeBits(point, SECTOR_BYTES);
  const listed: CrashChoice[] = [{ kind: 'all' }];
  if (sectors === 0) return withCombinations(listed, 0, SECTOR_BYTES);
  listed.push({ kind: 'kill', seed: random.next(), sectorBytes: SECTOR_BYTES });
  if (sectors <= EXHAUSTIVE_SECTORS) return withCombinations(listed, sectors, SECTOR_BYTES);
  const pages = disk.freeBits(point, PAGE_BYTES);
  const exhaustive = pages <= EXHAUSTIVE_PAGES;
  for (const kind of exhaustive ? [] : (['prefix', 'dropOne', 'keepOne'] as const)) {
    for (let n = 0; n < pages; n++) listed.push({ kind, n, sectorBytes: PAGE_BYTES });
  }
  for (let at = 0; at < randomCount; at++) {
    const sectorBytes = at % 2 === 0 ? SECTOR_BYTES : PAGE_BYTES;
    listed.push({ kind: 'random', seed: random.next(), sectorBytes });
  }
  return withCombinations(listed, exhaustive ? pages : 0, PAGE_BYTES);
}

/** And every combination of units that are kept, but for that of all. */
function withCombinations(
  listed: readonly CrashChoice[],
  units: number,
  sectorBytes: 512 | 4096,
): Choices {
  return {
    count: listed.length + 2 ** units - 1,
    at: (index) => listed[index] ?? { kind: 'mask', mask: index - listed.length, sectorBytes },
  };
}

/** `all` and `kill` keep what completed: there `process` acknowledgements count. */
export function isProcessOnly(choice: CrashChoice | undefined): boolean {
  return choice === undefined || choice.kind === 'all' || choice.kind === 'kill';
}

/** What recovering from a crash did to the disk, for a second crash in the midst of it. */
export interface Recovered {
  readonly disk: SimDisk;
  /** Events until the store was open; what it shows from then on must stay. */
  readonly opened: number;
  /** Events until the write that follows was acknowledged, and until the store was closed. */
  readonly extended: number;
  readonly closed: number;
  readonly contents: Contents;
}

export interface Verdict {
  /** What is wrong. */
  readonly violation: string | undefined;
  /** Its image was opened before, and only what the caller had been told was compared. */
  readonly known?: boolean;
  /** Its disk belongs to the caller, who releases it. */
  readonly recovered: Recovered | undefined;
}

/** Written after every recovery; no workload uses it. */
const EXTRA_KEY = 'k999983';
const EXTRA_VALUE = Buffer.from('written after the crash');

/**
 * Opens the store from the state, reads all of it and compares it with the oracle; unless the state
 * is brief, writes once more, closes, opens again and compares with what was read before.
 *
 * @param first the recovery that the second crash hits, where it was made already.
 * @param known images that need not be opened again; without it every one is.
 */
export async function checkState(
  recording: Recording,
  state: CrashState,
  first?: Recovered,
  known?: KnownImages,
): Promise<Verdict> {
  const { point, choice, second } = state;
  const processOnly = isProcessOnly(choice) && isProcessOnly(second?.choice);
  const brief = state.brief === true;
  let disk: SimDisk | undefined;
  try {
    if (second === undefined) {
      disk = recording.disk.crash(point, choice, state.twice === true);
    } else {
      const recoveredFrom = { point, choice, brief };
      first ??= (await checkState(recording, { ...recoveredFrom, twice: true })).recovered;
      if (first === undefined) throw new Error('the first recovery fails by itself');
      disk = first.disk.crash(second.point, second.choice, false);
    }
    const check = (contents: Contents): void => {
      const wrong = recording.oracle.check(withoutExtra(contents), point, processOnly);
      if (wrong !== undefined) throw new Error(wrong);
      if (second !== undefined && first !== undefined) checkSecond(first, contents, second.point);
    };
    const met = known?.meet(disk) ?? false;
    // The disk knows what of its bytes is not durable yet.
    const killedFirst = state.twice === true && choice.kind === 'all';
    const mayBeKnown = state.twice !== true || (met && !killedFirst);
    const before = mayBeKnown ? known?.find(disk) : undefined;
    if (before !== undefined) {
      check(before.contents);
      disk.release();
      return { violation: undefined, known: true, recovered: undefined };
    }
    const recovered = await recoverOnce(recording, disk, brief, check, known);
    known?.add(disk, recovered.contents);
    return { violation: undefined, recovered };
  } catch (error) {
    disk?.release();
    return { violation: explain(error), recovered: undefined };
  }
}

/** An open store has shown its contents, so that they may not go back in a second crash. */
function checkSecond(before: Recovered, contents: Contents, point: number): void {
  if (point < before.opened) return;
  const key = differenceOf(withoutExtra(before.contents), withoutExtra(contents));
  if (key !== undefined) throw new Error(`${key} was read before the second crash, not after`);
  if (point >= before.extended && !contents.has(EXTRA_KEY)) {
    throw new Error('the write acknowledged before the second crash is gone');
  }
}

function withoutExtra(contents: Contents): Contents {
  if (!contents.has(EXTRA_KEY)) return contents;
  const rest = new Map(contents);
  rest.delete(EXTRA_KEY);
  return rest;
}

async function recoverOnce(
  recording: Recording,
  disk: SimDisk,
  brief: boolean,
  check: (contents: Contents) => void,
  known: KnownImages | undefined,
): Promise<Recovered> {
  const { workload, config } = recording;
  const keys = keysToRead(recording);
  let store: Store | undefined = await openOn(disk, config, workload);
  try {
    const opened = disk.eventCount;
    const contents = await readAll(store, keys);
    check(contents);
    if (brief) {
      await abandon(disk, store);
      store = undefined;
      return { disk, opened, extended: NEVER, closed: disk.eventCount, contents };
    }
    const key = storeKey(workload.keyType, EXTRA_KEY);
    await store.put(key, EXTRA_VALUE, { durability: 'sync' });
    const extended = disk.eventCount;
    await store.close();
    store = undefined;
    const closed = disk.eventCount;
    const again = await readAgain(recording, disk, known);
    const changed = differenceOf(new Map([...contents, [EXTRA_KEY, EXTRA_VALUE]]), again);
    if (changed !== undefined) {
      throw new Error(`${changed} changed after recovery, a put and a reopen`);
    }
    return { disk, opened, extended, closed, contents };
  } finally {
    if (store !== undefined) await abandon(disk, store);
  }
}

/** What the store that was closed on a disk shows when it is opened again. */
async function readAgain(
  recording: Recording,
  disk: SimDisk,
  known: KnownImages | undefined,
): Promise<Contents> {
  const { workload, config } = recording;
  const restarted = disk.restart(false);
  const before = known?.find(restarted);
  if (before !== undefined) {
    disk.addPlacesRead(before.places);
    restarted.release();
    return before.contents;
  }
  const store = await openOn(restarted, config, workload);
  try {
    const contents = await readAll(store, keysToRead(recording));
    known?.add(restarted, contents);
    disk.addPlacesRead(restarted.placesRead());
    return contents;
  } finally {
    await store.close();
    restarted.release();
  }
}

const keysOf = new WeakMap<Recording, KeysToRead>();

function keysToRead(recording: Recording): KeysToRead {
  const { workload, oracle } = recording;
  const known = keysOf.get(recording);
  if (known !== undefined) return known;
  const keys = new KeysToRead(workload.keyType, [...oracle.keys, EXTRA_KEY]);
  keysOf.set(recording, keys);
  return keys;
}

/** Ends the use of a store as a power cut does; closing it in order costs as much as opening it. */
async function abandon(disk: SimDisk, store: Store): Promise<void> {
  disk.stopAt(disk.eventCount);
  await store.close().catch(() => undefined);
}

function explain(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const code = 'code' in error ? `${String(error.code)}: ` : '';
  const cause = error.cause instanceof Error ? ` (${explain(error.cause)})` : '';
  return `${code}${error.message}${cause}`;
}

/** `12:mask:5:512`, two of them joined by `/` for a second crash. */
export function formatState(state: CrashState): string {
  const one = (point: number, choice: CrashChoice): string =>
    [
      point,
      choice.kind,
      choice.mask ?? choice.n ?? choice.seed ?? 0,
      choice.sectorBytes ?? SECTOR_BYTES,
    ].join(':');
  const first = one(state.point, state.choice) + (state.brief === true ? ':brief' : '');
  return state.second === undefined
    ? first
    : `${first}/${one(state.second.point, state.second.choice)}`;
}

const KINDS = ['all', 'none', 'mask', 'prefix', 'dropOne', 'keepOne', 'random', 'kill'] as const;

export function parseState(text: string): CrashState {
  const [first, second] = text.split('/').map((part) => {
    const [point = '', name = '', number = '', sector = ''] = part.split(':');
    const kind = KINDS.find((known) => known === name);
    const n = Number(number);
    if (kind === undefined || !/^\d+$/.test(point) || !Number.isSafeInteger(n)) {
      throw new RangeError(`not a crash state: ${part}`);
    }
    const sectorBytes = sector === String(PAGE_BYTES) ? PAGE_BYTES : SECTOR_BYTES;
    const choice: CrashChoice = { kind, n, mask: n, seed: n, sectorBytes };
    return { point: Number(point), choice };
  });
  if (first === undefined) throw new RangeError('not a crash state: nothing given');
  const brief = text.includes(':brief');
  return { ...first, ...(second === undefined ? {} : { second }), ...(brief ? { brief } : {}) };
}
