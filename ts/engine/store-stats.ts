import type { StoreStats } from './api.js';
import type { StoreParts } from './parts.js';
import type { RecoveryReport } from './recovery.js';

/** What the parts of a store have counted since it was opened. */
export function storeStats(
  parts: StoreParts,
  recovery: RecoveryReport,
  checkpoint: StoreStats['checkpoint'],
): StoreStats {
  const { path, index, values, log, meters, fileSet, config } = parts;
  const { gets, hits, puts, deletes, batches, bytesRead, bytesWritten } = meters;
  const { capabilities } = fileSet;
  // The index's own would wait for pages.
  const entries = (index.pages ?? index).size;
  return {
    path,
    entries,
    io: {
      backend: capabilities.name,
      direct: capabilities.direct,
      degraded: capabilities.degraded,
    },
    operations: { gets, hits, puts, deletes, batches, bytesRead, bytesWritten },
    latency: {
      get: meters.get.summary(),
      put: meters.put.summary(),
      delete: meters.delete.summary(),
    },
    index: {
      ...{ type: config.index.type, entries, memoryBytes: index.memoryBytes },
      ...index.pages?.stats(),
    },
    values: values.stats(),
    log: {
      appendedSequence: log.appendedSequence,
      durableSequence: log.durableSequence,
      liveBytes: log.liveBytes,
      bytesWritten: log.bytesWritten,
      groups: log.groups,
      syncs: log.syncs,
    },
    checkpoint,
    recovery: {
      records: recovery.records,
      milliseconds: recovery.milliseconds,
      tornTail: recovery.tornTail,
    },
  };
}
