import type { Counters } from './adapters/adapter.js';

/** What gets cost beside time; nothing for engines that do not know. */
export function readsBetween(
  before: Counters | null,
  after: Counters | null,
): Readonly<Record<string, number>> {
  if (before === null || after === null) return {};
  return {
    deviceReads: after.deviceReads - before.deviceReads,
    indexReads: after.indexReads - before.indexReads,
    tierHits: after.tierHits - before.tierHits,
    promotions: after.promotions - before.promotions,
  };
}
