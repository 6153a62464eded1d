import type { StoreConfig } from '../config/types.js';
import type { BackupOptions, BackupReport } from './api.js';
import { open, type OpenOptions } from './open.js';

export interface RestoreOptions extends BackupOptions, OpenOptions {
  /** For opening the backup: what its own configuration does not say, such as `io`. */
  readonly config?: StoreConfig;
}

/**
 * Makes a store from a backup, which is opened read-only and stays as it is. Everything is checked
 * on its way; without `keepDamaged` nothing is left behind when something does not check.
 *
 * @param storePath a new or an empty directory.
 * @throws CairnError CAIRN_NOT_FOUND, CAIRN_EXISTS, CAIRN_CORRUPTION, CAIRN_NO_SPACE, CAIRN_IO.
 */
export async function restore(
  backupPath: string,
  storePath: string,
  options: RestoreOptions = {},
): Promise<BackupReport> {
  const { config, registry, ...rest } = options;
  const source = await open(
    backupPath,
    { ...config, read_only: true, create_if_missing: false },
    registry === undefined ? {} : { registry },
  );
  try {
    return await source.backup(storePath, rest);
  } finally {
    await source.close();
  }
}
