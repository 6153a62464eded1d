import { addon } from '../../ts/bindings/addon.js';
import type { SimDisk, SimDiskOptions } from '../../ts/bindings/addon.js';

export function newSimDisk(options: SimDiskOptions = {}): SimDisk {
  return new (addon().SimDisk)(options);
}

/** The lengths of all files: what a capacity counts. */
export function allocatedBytes(disk: SimDisk): number {
  return disk.fileNames().reduce((sum, name) => sum + (disk.readFile(name)?.length ?? 0), 0);
}
