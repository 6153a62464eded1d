import { statfsSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { open, type Store, type StoreConfig } from '../../../ts/index.js';
import { IMAGE_BYTES, LoopDevice, run, type FileSystemKind } from './devices.js';
import { Ledger } from './ledger.js';
import { Load, pick, PROFILES, randomOf, settled, type Random } from './load.js';

const MIB = 2 ** 20;
const INDEXES = ['DRAM_PET_HASH', 'SSD_EXTENDIBLE_HASH', 'DRAM_EXTENDIBLE_HASH'] as const;
const VALUES = ['SSD_VALUE_STORE', 'TIERED_VALUE_STORE', 'DRAM_VALUE_STORE'] as const;
/** Of the file system, for the log at least and the values of some checkpoints. */
/** Left beside a store that has made its first checkpoints. */
const FREE_BYTES_MIN = 5 * MIB;
const FREE_BYTES_MORE = 12 * MIB;
const WRITES_AFTER = 200;
const DELETES = 500;

/** A store that may grow far beyond the file system that it is on. */
export function configOf(random: Random): StoreConfig {
  const value = pick(random, VALUES);
  const ssd = {
    ssd_allocator: { type: pick(random, ['SSD_SLAB', 'SSD_BUDDY']), capacity_bytes: 1024 * MIB },
  };
  const dram = (mib: number): StoreConfig['value'] => ({
    dram_allocator: { capacity_bytes: mib * MIB },
  });
  return {
    io: { type: pick(random, ['IOURING', 'POSIX']) },
    index: { type: pick(random, INDEXES) },
    value: {
      type: value,
      ...(value === 'DRAM_VALUE_STORE' ? {} : ssd),
      ...(value === 'SSD_VALUE_STORE' ? {} : dram(value === 'DRAM_VALUE_STORE' ? 1024 : 4)),
    },
    log: { capacity_bytes: 2 * MIB, segment_bytes: MIB / 4 },
  };
}

export function describeConfig({ io, index, value }: StoreConfig): string {
  const allocator = value?.ssd_allocator?.type ?? 'memory';
  return [value?.type, allocator, index?.type, io?.type].join(' ');
}

export interface FullReport {
  readonly acknowledged: number;
  readonly refusals: number;
}

/**
 * F8: a store fills the file system that it is on until the file system itself says ENOSPC. Reads,
 * deletes, checkpoint, close and open go on; so do writes when a file beside the store goes.
 */
export async function fullCycle(kind: FileSystemKind, seed: number): Promise<FullReport> {
  const random = randomOf(seed);
  const config = configOf(random);
  const profile = pick(random, PROFILES);
  const device = new LoopDevice({ kind, directory: '/var/tmp', thinBytes: 2 * IMAGE_BYTES });
  try {
    const ballast = join(device.path, 'ballast');
    const free = FREE_BYTES_MIN + Math.floor(random() * FREE_BYTES_MORE);
    const path = join(device.path, 'store');
    const ledger = new Ledger();
    const load = new Load(ledger, random, profile);
    const addBallast = (): void =>
      run('fallocate', ['-l', String(freeBytes(device.path) - free), ballast]);
    const removeBallast = async (): Promise<void> => {
      unlinkSync(ballast);
      // XFS frees it some time later.
      while (freeBytes(device.path) < free) await sleep(10);
    };
    await runFull({ path, config, ledger, load, random, addBallast, removeBallast });
    device.remove();
    return { acknowledged: ledger.acknowledged, refusals: load.refusals };
  } catch (cause) {
    throw new Error(`${describeConfig(config)}, ${profile.name}`, { cause });
  } finally {
    device.abandon();
  }
}

interface FullRun {
  readonly path: string;
  readonly config: StoreConfig;
  readonly ledger: Ledger;
  readonly load: Load;
  readonly random: Random;
  readonly addBallast: () => void;
  readonly removeBallast: () => Promise<void>;
}

async function runFull(full: FullRun): Promise<void> {
  const { path, config, ledger, load, random } = full;
  let store = await open(path, config);
  try {
    // Before the second one of its life a store may have no file for the next (docs/DURABILITY.md).
    for (let checkpoints = 0; checkpoints < 2; checkpoints++) {
      await load.mustPut(store, 5);
      await store.checkpoint();
    }
    full.addBallast();
    await load.run(store, 3);
    expectRefusals(load);
    await ledger.checkAll(store);
    await load.mustDelete(store, someOf(ledger.present, random));
    await settled('checkpoint', store.checkpoint());
    // What the deletes gave back may be taken again, up to the end once more.
    await load.run(store, 2);
    await ledger.checkAll(store);
    if (random() < 0.7) {
      store = await reopened(store, full);
      await ledger.checkAll(store);
      await load.mustDelete(store, someOf(ledger.present, random));
      await load.run(store, 2);
    }
    await full.removeBallast();
    await load.mustPut(store, WRITES_AFTER);
    await settled('checkpoint', store.checkpoint());
    await ledger.settle(store);
    const report = await store.verify();
    if (report.damagedCount > 0) throw new Error(`damaged: ${JSON.stringify(report.damaged)}`);
    store = await reopened(store, full);
    await ledger.settle(store);
    await store.close();
  } finally {
    void store.close().catch(() => undefined);
  }
}

async function reopened(store: Store, { path }: FullRun): Promise<Store> {
  await settled('close', store.close());
  return settled('open', open(path));
}

/** All of them were the file system's: the store's own limits are beyond it. */
function expectRefusals(load: Load): void {
  if (load.failures > 0) throw new Error('a full device ended writing', { cause: load.lastError });
  if (load.refusals === 0) {
    throw new Error('the file system refused nothing', { cause: load.lastError });
  }
}

/** At most {@link DELETES}, each tenth at most. */
function someOf(keys: readonly number[], random: Random): number[] {
  const part = Math.min(0.1, DELETES / keys.length);
  return keys.filter(() => random() < part);
}

function freeBytes(path: string): number {
  const { bavail, bsize } = statfsSync(path);
  return bavail * bsize;
}
