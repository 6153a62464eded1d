import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { open } from '../../../ts/index.js';
import type { SeededRandom } from '../crash/random.js';
import { GROUPS, newHistory, writeUntilKilled } from '../kill/cycle.js';
import { isAllowed, keysOf, versionOf } from '../kill/history.js';
import { makeStoreInTurn } from '../kill/kinds.js';
import { mountImage, run, unmount, type FileSystemKind } from '../loop/devices.js';
import { BlockLog, type LoggedWrite } from './block-log.js';
import { LoggedDisk } from './logged-disk.js';

const PAGE_BYTES = 4096;

/** A write that was acknowledged when the log had so many entries. */
interface Acknowledgement {
  readonly group: number;
  readonly version: number;
  readonly entries: number;
}

export interface BlockOptions {
  readonly kind: FileSystemKind;
  /** Of the store's types: {@link makeStoreInTurn}. */
  readonly turn: number;
  readonly io: 'IOURING' | 'POSIX';
  readonly images: number;
  readonly writeMs: number;
  readonly directory: string;
  readonly random: SeededRandom;
}

export interface BlockResult {
  readonly store: string;
  readonly images: number;
  readonly acknowledged: number;
  readonly entries: number;
  readonly flushes: number;
}

/**
 * Records what a store and its file system write, then cuts the power at seeded commands: what was
 * flushed by then is there, of the rest each page or not. Each image is mounted, and its store
 * opened, compared with what had been acknowledged, and verified.
 *
 * @throws Error that names the command and what was kept.
 */
export async function tryImages(options: BlockOptions): Promise<BlockResult> {
  const disk = await LoggedDisk.create(options.kind, options.directory);
  try {
    const path = join(disk.path, 'store');
    const store = await makeStoreInTurn(path, options.turn);
    const made = disk.count();
    const history = newHistory();
    const acknowledged: Acknowledgement[] = [];
    await writeUntilKilled(history, {
      path,
      io: options.io,
      level: 'sync',
      killAfterMs: options.writeMs,
      onAcknowledged: (group, version) =>
        acknowledged.push({ group, version, entries: disk.count() }),
    });
    const end = disk.count();
    disk.end();
    const log = new BlockLog(disk.log);
    try {
      const flushes = log.entries.filter((entry) => entry.flush).length;
      const points = Array.from(
        { length: options.images },
        () => made + options.random.below(end + 1 - made),
      ).sort((left, right) => left - right);
      const versions = history.map(({ invoked }) => invoked);
      await cutAt(points, { ...options, disk, log, acknowledged, versions });
      return {
        store,
        images: options.images,
        acknowledged: acknowledged.length,
        entries: end,
        flushes,
      };
    } finally {
      log.close();
    }
  } finally {
    disk.abandon();
  }
}

interface Cut {
  readonly disk: LoggedDisk;
  readonly log: BlockLog;
  readonly acknowledged: readonly Acknowledgement[];
  /** The last version of each group that was asked for at all. */
  readonly versions: readonly number[];
  readonly directory: string;
  readonly random: SeededRandom;
}

async function cutAt(points: readonly number[], cut: Cut): Promise<void> {
  const { disk, log, random } = cut;
  const place = mkdtempSync(join(cut.directory, 'cairn-cut-'));
  const image = join(place, 'image');
  const state = join(place, 'state');
  const mounted = join(place, 'mounted');
  mkdirSync(mounted);
  run('cp', ['--sparse=always', disk.fresh, image]);
  const flushed = openSync(image, 'r+');
  let durable = 0; // entries in the image
  try {
    for (const [at, point] of points.entries()) {
      const last = lastFlush(log.entries, point);
      for (; durable < last; durable++) log.apply(log.entries[durable] as LoggedWrite, flushed);
      run('cp', ['--sparse=always', image, state]);
      const kept = [1, 0, 0.5, 0.9][at % 4] as number;
      keepSome(log, durable, point, state, () => random.chance(kept));
      try {
        mountImage(state, mounted);
        try {
          await checkStore(join(mounted, 'store'), point, cut);
        } finally {
          unmount(mounted);
        }
      } catch (cause) {
        const what = `${kept} of what was written since entry ${durable}`;
        throw new Error(`after entry ${point} of ${log.entries.length}, ${what}`, { cause });
      }
    }
  } finally {
    closeSync(flushed);
    rmSync(place, { recursive: true, force: true });
  }
}

/** Entries up to the last flush among the first `point`. */
function lastFlush(entries: readonly LoggedWrite[], point: number): number {
  let at = point;
  while (at > 0 && entries[at - 1]?.flush !== true) at--;
  return at;
}

/** Each page of what no flush covers is there or not. */
function keepSome(
  log: BlockLog,
  from: number,
  to: number,
  state: string,
  keep: () => boolean,
): void {
  const target = openSync(state, 'r+');
  try {
    for (const entry of log.entries.slice(from, to)) {
      for (let at = 0; at < entry.bytes; at += PAGE_BYTES) {
        if (keep()) log.apply(entry, target, at, Math.min(PAGE_BYTES, entry.bytes - at));
      }
    }
  } finally {
    closeSync(target);
  }
}

async function checkStore(path: string, point: number, cut: Cut): Promise<void> {
  const known = new Array<number>(GROUPS).fill(-1);
  for (const { group, version, entries } of cut.acknowledged) {
    if (entries <= point) known[group] = version;
  }
  const store = await open(path, { create_if_missing: false });
  try {
    for (const [group, acknowledged] of known.entries()) {
      const version = versionOf(group, await store.batchGet(keysOf(group)));
      const invoked = cut.versions[group] as number;
      if (!isAllowed({ acknowledged, invoked }, version)) {
        const found = version === undefined ? 'nothing' : `version ${version}`;
        throw new Error(`group ${group}: found ${found}, acknowledged ${acknowledged}`);
      }
    }
    const report = await store.verify();
    if (report.damagedCount > 0) throw new Error(`damaged: ${JSON.stringify(report.damaged)}`);
  } finally {
    await store.close();
  }
}
