import { addon } from '../../ts/bindings/addon.js';
import type { SimDisk, SimDiskOptions } from '../../ts/bindings/addon.js';

export function newSimDisk(options: SimDiskOptions = {}): SimDisk {
  return new (addon().SimDisk)(options);
}
