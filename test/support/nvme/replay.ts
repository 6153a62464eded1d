import { spawnSync } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { open } from '../../../ts/index.js';
import { mountImage, unmount } from '../loop/devices.js';
import { BlockLog } from '../block/block-log.js';

/** As the guest puts them: guest.mjs. */
const KEYS = Array.from({ length: 128 }, (_, i) => `key-${i}`);

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

/**
 * The power goes after each command that the device got, flushes and what lies between them: the
 * file system is mounted, the store opened and verified, and no key may be older than after the
 * command before.
 *
 * @returns how many states were looked at, and the versions of the keys in the last one.
 */
export async function replay(
  options: ReplayOptions,
): Promise<{ readonly states: number; readonly last: readonly number[] }> {
  const log = new BlockLog(options.log);
  const image = join(options.folder, 'replay.img');
  const state = join(options.folder, 'state.img');
  const mounted = join(options.folder, 'mounted');
  mkdirSync(mounted, { recursive: true });
  copy(options.fresh, image);
  const target = openSync(image, 'r+');
  let last: readonly number[] | undefined;
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
        last = found;
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
  return { states: log.entries.length, last: last ?? [] };
}
