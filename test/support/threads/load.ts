import type { Store, StoreConfig } from '../../../ts/index.js';
import { bytesOf } from '../stores.js';

/** Who runs a scenario, and on what. */
export interface Job {
  readonly scenario: string;
  readonly io: 'IOURING' | 'POSIX';
  readonly value: 'SSD_VALUE_STORE' | 'DRAM_VALUE_STORE';
  readonly path: string;
  /** Per key the highest version that was acknowledged. */
  readonly acknowledged?: Int32Array;
}

export function configOf(job: Job, lockTimeoutMs = 0): StoreConfig {
  return {
    value: { type: job.value },
    io: { type: job.io },
    // Small enough that segments are made, checkpoints written and slots used again meanwhile.
    log: { segment_bytes: 256 * 1024, capacity_bytes: 2 * 1024 * 1024 },
    lock_timeout_ms: lockTimeoutMs,
  };
}

export const KEYS = 64;

export function keyOf(key: number): string {
  return `key-${key}`;
}

/** Some values ride in the log, some go to slots of their own. */
export function valueOf(key: number, version: number): Buffer {
  const value = bytesOf(key * 1009 + version, 16 + ((key * 7919 + version * 104729) % 30_000));
  value.writeInt32LE(key, 0);
  value.writeInt32LE(version, 4);
  return value;
}

/**
 * Overwrites every key again and again with `width` writes in flight, reading, deleting nothing, with
 * checkpoints in between, until `stop` says so.
 */
export async function writeUntil(
  store: Store,
  stop: () => boolean,
  onAcknowledged: (key: number, version: number) => void,
  width = 16,
): Promise<void> {
  const one = async (lane: number): Promise<void> => {
    for (let version = 1; !stop(); version++) {
      for (let key = lane; key < KEYS && !stop(); key += width) {
        const done = store.put(keyOf(key), valueOf(key, version));
        const read = store.get(keyOf((key * 5) % KEYS));
        await done;
        onAcknowledged(key, version);
        await read;
      }
      if (lane === 0) await store.checkpoint();
    }
  };
  await Promise.all(Array.from({ length: width }, (_, lane) => one(lane)));
}

/** @throws Error when an acknowledged write is lost or a value is none that was written. */
export async function checkStore(
  store: Store,
  acknowledged: (key: number) => number,
): Promise<number> {
  let found = 0;
  for (let key = 0; key < KEYS; key++) {
    const value = await store.get(keyOf(key));
    const least = acknowledged(key);
    if (value === undefined) {
      if (least > 0) throw new Error(`${keyOf(key)} is gone, version ${least} was acknowledged`);
      continue;
    }
    found++;
    const version = value.readInt32LE(4);
    if (version < least) throw new Error(`${keyOf(key)} is of version ${version}, not ${least}`);
    if (!value.equals(valueOf(key, version))) throw new Error(`${keyOf(key)} has wrong bytes`);
  }
  const { damagedCount } = await store.verify();
  if (damagedCount > 0) throw new Error(`verify finds ${damagedCount} damaged records`);
  return found;
}
