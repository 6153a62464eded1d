import type { CairnError } from '../common/errors.js';
import { documentOf } from '../config/stored.js';
import type { StoreConfig } from '../config/types.js';
import type { CallOptions, LoadProgress, StoredKey, VerifyReport } from './api.js';
import { createRegistry } from './builtins.js';
import { throwIfAborted } from './calls.js';
import { open, usingDamaged, type OpenOptions } from './open.js';
import type { StoreParts } from './parts.js';
import { walkRecords } from './walk.js';

const DAMAGE_LISTED_MAX = 1000;

export interface RepairOptions extends CallOptions, OpenOptions {
  /** For opening the damaged store: what its own configuration does not say, such as `io`. */
  readonly config?: StoreConfig;
  /** Of the new store. @default types and sizes of the damaged one */
  readonly target?: StoreConfig;
  /** Called now and then, at most a few times a second and once at the end. */
  readonly progress?: (progress: LoadProgress) => void;
}

export interface RepairReport {
  /** In the new store. */
  readonly entries: number;
  readonly bytes: number;
  /**
   * What was given up, by the place that did not check; the end of a damaged log is one, however
   * much was behind it. At most 1000 are listed; `damagedCount` counts all.
   */
  readonly damaged: VerifyReport['damaged'];
  readonly damagedCount: number;
}

/**
 * Makes a new store of what checks in a damaged one, which is opened read-only and stays as it is.
 * It has every record that is readable, as of the last change of it that is: of a damaged checkpoint
 * the entries that check, of a damaged log what comes before the damage. `damaged` says what that
 * is without: entries may be missing, or as they were before.
 *
 * @param targetPath a new or an empty directory.
 * @throws CairnError CAIRN_CORRUPTION when neither root of the manifest checks, or the values file
 *   is gone; CAIRN_NOT_FOUND, CAIRN_EXISTS, CAIRN_NO_SPACE, CAIRN_IO, CAIRN_ABORTED.
 */
export async function repair(
  storePath: string,
  targetPath: string,
  options: RepairOptions = {},
): Promise<RepairReport> {
  const damage = new DamageList();
  const source = { ...options.config, read_only: true, create_if_missing: false };
  const registry = options.registry ?? createRegistry();
  const done = await usingDamaged(storePath, source, registry, damage.add, (parts) =>
    copyTo(targetPath, parts, damage, options),
  );
  return { ...done, damaged: damage.listed, damagedCount: damage.count };
}

async function copyTo(
  path: string,
  parts: StoreParts,
  damage: DamageList,
  options: RepairOptions,
): Promise<LoadProgress> {
  const { target, registry, signal, progress } = options;
  const config = { ...(target ?? documentOf(parts.config)), error_if_exists: true };
  const store = await open(path, config, registry === undefined ? {} : { registry });
  try {
    return await store.bulkLoad(entriesOf(parts, damage, options), {
      ...(signal === undefined ? {} : { signal }),
      ...(progress === undefined ? {} : { progress }),
    });
  } finally {
    await store.close();
  }
}

/** What checks of a damaged store. */
export async function* entriesOf(
  parts: StoreParts,
  damage: DamageList,
  { signal }: CallOptions = {},
): AsyncGenerator<[StoredKey, Buffer]> {
  for await (const records of walkRecords(parts, (_, error) => damage.add(error))) {
    for (const { key, value } of records) {
      throwIfAborted(signal);
      yield [parts.keys.decode(key, {}), value];
    }
  }
}

/** Counts damage and lists the first of it. */
export class DamageList {
  readonly listed: { file: string; offset: number; reason: string }[] = [];
  count = 0;

  readonly add = ({ file, offset, message }: CairnError): void => {
    this.count++;
    if (this.listed.length >= DAMAGE_LISTED_MAX) return;
    this.listed.push({ file: file ?? '', offset: offset ?? 0, reason: message });
  };
}
