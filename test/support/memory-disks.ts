import type { SimDisk, SimDiskOptions } from '../../ts/bindings/addon.js';
import { FileSet } from '../../ts/bindings/file-set.js';
import { createRegistry, open, type Store, type StoreConfig } from '../../ts/index.js';
import { newSimDisk } from './sim-disk.js';

/** Disks in memory by path, as a file system has directories; they stay when a store is closed. */
export class MemoryDisks {
  readonly registry = createRegistry();
  readonly #byPath = new Map<string, SimDisk>();
  readonly #options: SimDiskOptions;

  constructor(options: SimDiskOptions = {}) {
    this.#options = options;
    this.registry.register('io', 'MEMORY', async (config) => this.files(config.path));
  }

  files(path: string): FileSet {
    return FileSet.simulate(this.disk(path));
  }

  disk(path: string): SimDisk {
    let disk = this.#byPath.get(path);
    if (disk === undefined) this.#byPath.set(path, (disk = newSimDisk(this.#options)));
    return disk;
  }

  /** As `open` does, whatever `io` the configuration has. */
  open = (path: string, config: StoreConfig = {}): Promise<Store> =>
    open(path, { ...config, io: { type: 'MEMORY' } }, { registry: this.registry });

  release(): void {
    for (const disk of this.#byPath.values()) disk.release();
    this.#byPath.clear();
  }
}
