import { spawnSync } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { open } from '../../../ts/index.js';
import { mountImage, unmount } from '../loop/devices.js';
import { BlockLog } from '../block/block-log.js';
import { MARK_OFFSET } from './machine.js';

/** As the guest puts them: guest.mjs. */
const KEYS = Array.from({ length: 128 }, (_, i) => `key-${i}`);
/** The last puts, of one key after the other, begin behind this version. */
const BEFORE_MARKS = 200;
const MARKED = 64;
/** 8 puts, then 32, 32 and 128, then those with marks, each of the next version. */
const LAST = KEYS.map((_, at) => (at < MARKED ? BEFORE_MARKS + 1 + at : 73 + at));

export interface ReplayOptions {
  /** For images and the mount point. */
  readonly folder: string;
  /** The device before its log. */
  readonly fresh: string;
  readonly log: string;
  readonly onState: (done: number, all: number) => void;
}

function copy(from: string, to: string): void {
  const { status } = spawnSync('cp', ['--sparse=always', from, to]);
  if (status !== 0) throw new Error(`cannot copy ${from}`);
}

/** The version of each key, -1 where it is absent. Throws when a value is not whole. */
async function versionsOf(path: string): Promise<number[]> {
  const store = await open(path, { create_if_missing: false });
  try {
    const report = await store.verify();
    if (report.damagedCount > 0) throw new Error(`damaged: ${JSON.stringify(report.damaged)}`);
    const values = await store.batchGet(KEYS);
    return values.map((value, at) => {
      if (value === undefined) return -1;
      const version = value.readUInt32LE(0);
      const whole = value.length === 1000 && value.subarray(4).every((b) => b === (version & 0xff));
      if (!whole) throw new Error(`${KEYS[at]}: bytes that nobody wrote`);
      return version;
    });
  } finally {
    await store.close();
  }
}

/** Up to which version the guest had said that all is acknowledged; 0 before it said so. */
function markOf(image: number): number {
  const bytes = Buffer.alloc(4);
  readSync(image, bytes, 0, bytes.length, MARK_OFFSET);
  return bytes.readUInt32LE(0);
}

/** Of the marked puts; -1 where a key may be as it was. */
function acknowledged(mark: number, key: number): number {
  const version = BEFORE_MARKS + 1 + key;
  return key < MARKED && version <= mark ? version : -1;
}

export interface Replayed {
  /** That had a store, and were looked at. */
  readonly states: number;
  /** Puts that a state showed to be acknowledged, and were there. */
  readonly acknowledged: number;
  /** Empty when the last state has all puts. */
  readonly missing: readonly string[];
}

/**
 * The power goes after each command that the device got, flushes and what lies between them: the
 * file system is mounted, the store opened and verified. No key may be older than after the
 * command before, or than the guest had been told by then.
 */
export async function replay(options: ReplayOptions): Promise<Replayed> {
  const log = new BlockLog(options.log);
  const image = join(options.folder, 'replay.img');
  const state = join(options.folder, 'state.img');
  const mounted = join(options.folder, 'mounted');
  mkdirSync(mounted, { recursive: true });
  copy(options.fresh, image);
  const target = openSync(image, 'r+');
  let last: readonly number[] | undefined;
  let states = 0;
  let mark = 0;
  try {
    for (const [at, entry] of log.entries.entries()) {
      log.apply(entry, target);
      copy(image, state);
      mountImage(state, mounted);
      try {
        const path = join(mounted, 'store');
        // Before the first manifest has its name there is no store, and afterwards always one.
        if (last === undefined && !existsSync(join(path, 'MANIFEST'))) continue;
        const found = await versionsOf(path);
        const older = KEYS.filter((_, key) => (found[key] ?? -1) < (last?.[key] ?? -1));
        if (older.length > 0) throw new Error(`older than before: ${older.join(' ')}`);
        mark = markOf(target);
        const lost = KEYS.filter((_, key) => (found[key] ?? -1) < acknowledged(mark, key));
        if (lost.length > 0) throw new Error(`acknowledged and lost: ${lost.join(' ')}`);
        last = found;
        states++;
      } catch (cause) {
        throw new Error(`after command ${at} of ${log.entries.length}`, { cause });
      } finally {
        unmount(mounted);
      }
      options.onState(at + 1, log.entries.length);
    }
  } finally {
    closeSync(target);
    log.close();
  }
  return {
    states,
    acknowledged: Math.max(0, mark - BEFORE_MARKS),
    missing: KEYS.filter((_, key) => last?.[key] !== LAST[key]),
  };
}
