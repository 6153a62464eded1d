import type { CrashChoice } from '../../../ts/bindings/addon.js';
import type { Store, StoreConfig } from '../../../ts/index.js';
import { newSimDisk } from '../sim-disk.js';
import { openTuned, openTunedOn } from '../tuned-store.js';

/** Where a store of the model lives. */
export interface Host {
  open(config: StoreConfig): Promise<Store>;
  /** The files are as the end of the process, or of the power, leaves them; the store is gone. */
  readonly crash?: (store: Store, how: 'kill' | 'power', seed: number) => Promise<void>;
  dispose(): Promise<void>;
}

/** A directory, on the backend that the configuration names. */
export function directoryHost(path: string): Host {
  return {
    open: (config) => openTuned(path, config),
    dispose: async () => undefined,
  };
}

/** A disk in memory that keeps what a crash may leave. */
export function simulatedHost(): Host {
  let disk = newSimDisk({ record: true });
  return {
    open: async ({ io: _, ...config }) => {
      // What an earlier life left on its way is through.
      const next = disk.restart(true);
      disk.release();
      disk = next;
      return openTunedOn(disk, config);
    },
    crash: async (store, how, seed) => {
      const end = disk.eventCount;
      disk.stopAt(end);
      const left = disk.crash(end, choiceOf(how, seed), true);
      await store.close().catch(() => undefined);
      disk.release();
      disk = left;
    },
    dispose: async () => disk.release(),
  };
}

function choiceOf(how: 'kill' | 'power', seed: number): CrashChoice {
  if (how === 'kill') return { kind: 'kill', seed };
  if (seed % 4 === 0) return { kind: 'none' };
  return { kind: 'random', seed, sectorBytes: seed % 2 === 0 ? 512 : 4096 };
}
