import { FileSet } from '../../ts/bindings/file-set.js';
import type { SimDisk } from '../../ts/bindings/addon.js';
import { readMachine } from '../../ts/config/machine.js';
import { resolveConfig } from '../../ts/config/resolve.js';
import { createRegistry } from '../../ts/engine/builtins.js';
import type { Tuning } from '../../ts/engine/factories.js';
import { openWithFileSet } from '../../ts/engine/open.js';
import type { Store, StoreConfig } from '../../ts/index.js';

/** Groups of slots, lots and pages small enough that a test of seconds turns all of them over. */
export const SMALL_TUNING: Tuning = {
  runBytes: 64 * 1024,
  dirtyBytesMax: 1024 * 1024,
  reserveBytesMax: 4 * 1024 * 1024,
  cacheBytes: 256 * 1024,
  machine: readMachine(),
  compaction: { slackBytes: 512 * 1024, lotBytes: 256 * 1024 },
  indexPages: { cachePages: 8, entriesMax: 6 },
};

const registry = createRegistry();

/** As `open`, with sizes that a configuration does not have. */
export async function openTuned(
  path: string,
  config: StoreConfig,
  tuning: Tuning = SMALL_TUNING,
): Promise<Store> {
  const resolved = resolveConfig(path, config, { names: registry.allNames() });
  const files = await registry.get('io', resolved.io.type)(resolved);
  return openWithFileSet(files, resolved, registry, tuning);
}

/** The same on a simulated disk, which stays the caller's. */
export function openTunedOn(
  disk: SimDisk,
  config: StoreConfig,
  tuning: Tuning = SMALL_TUNING,
): Promise<Store> {
  const resolved = resolveConfig('/simulated', config, { names: registry.allNames() });
  return openWithFileSet(FileSet.simulate(disk), resolved, registry, tuning);
}
