import type { BlockStats, TierStats, ValueStoreStats } from './value-store.js';

/** @param of a number of the values file by its name in `NativeSlotFile.stateSlots`. */
export function slotFileStats(
  of: (name: string) => number,
  tier: TierStats | undefined,
): ValueStoreStats {
  const liveBytes = of('liveBytes') - of('waitingBytes');
  return {
    capacityBytes: of('capacityBytes'),
    allocatedBytes: of('allocatedBytes'),
    reservedBytes: of('reservedBytes'),
    liveSlots: of('liveSlots'),
    liveBytes,
    waitingBytes: of('waitingBytes'),
    garbageRatio: of('allocatedBytes') === 0 ? 0 : 1 - liveBytes / of('allocatedBytes'),
    movedBytes: of('movedBytes'),
    compactedCells: of('compactedCells'),
    punchedBytes: of('punchedBytes'),
    deviceReads: of('deviceReads'),
    deviceReadBytes: of('deviceReadBytes'),
    deviceWrites: of('deviceWrites'),
    deviceWriteBytes: of('deviceWriteBytes'),
    memoryHits: of('memoryHits'),
    memoryBytes: of('cacheBytes') + of('dirtyBytes') + (tier?.memoryBytes ?? 0),
    ...(tier === undefined ? {} : { tier }),
    ...(of('freeBytes') < 0 ? {} : { blocks: blockStats(of('freeBytes'), of('largestFreeBytes')) }),
  };
}

function blockStats(freeBytes: number, largestFreeBytes: number): BlockStats {
  const fragmentation = freeBytes === 0 ? 0 : 1 - largestFreeBytes / freeBytes;
  return { freeBytes, largestFreeBytes, fragmentation };
}
