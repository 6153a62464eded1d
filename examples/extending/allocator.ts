// An allocator of one's own: which slots there are is a plan, the placing is cairn's. Here classes
// in steps of an eighth, for values whose sizes are spread evenly.
import type { Factories, Registry, SlotPlan } from 'cairn-kv';

/** Payload sizes: each an eighth larger than the one before, in steps of 64 B, up to 1 MiB. */
export function eighths(): number[] {
  const classes = [64];
  for (let bytes = 64; bytes < 2 ** 20;) {
    bytes = Math.min(2 ** 20, Math.ceil((bytes * 1.125) / 64) * 64);
    classes.push(bytes);
  }
  return classes.length > 64 ? classes.slice(-64) : classes;
}

export function registerAllocators(registry: Registry<Factories>): void {
  registry.register('ssdAllocator', 'SSD_EIGHTHS', ({ value }): SlotPlan => ({
    sizeClasses: value.ssdAllocator?.sizeClasses ?? eighths(),
    capacityBytes: value.ssdAllocator?.capacityBytes ?? 0,
  }));
  registry.register('dramAllocator', 'DRAM_EIGHTHS', ({ value }): SlotPlan => ({
    sizeClasses: value.dramAllocator?.sizeClasses ?? eighths(),
    capacityBytes: value.dramAllocator?.capacityBytes ?? 0,
  }));
}
