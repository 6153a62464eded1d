import type { Command } from 'commander';
import type { LatencySummary, StoreStats, TierStats } from '../index.js';
import { EXIT_OK } from './errors.js';
import { formatBytes, formatCount, formatDuration, formatMicroseconds } from './format.js';
import { addStoreOptions } from './options.js';
import type { Output } from './output.js';
import type { Runner } from './program.js';
import { withStore, type StoreOptions } from './session.js';
import { renderGroups } from './table.js';

export function addStat(program: Command, run: Runner): void {
  const command = program
    .command('stat')
    .description('show entries, space, index, log, checkpoints and how the last recovery went')
    .argument('<store>', 'directory of the store');
  addStoreOptions(command).action((path: string) =>
    run(async ({ output, ...context }) => {
      const stats = await withStore(
        { output, ...context },
        path,
        command.opts<StoreOptions>(),
        'read',
        ({ store }) => Promise.resolve(store.stats()),
      );
      if (output.json) await output.jsonLine(stats);
      else await output.line(renderStats(output, stats));
      return EXIT_OK;
    }),
  );
}

function tierRows(tier: TierStats): (readonly [string, string])[] {
  return [
    ['copies', `${formatCount(tier.records)} (${formatBytes(tier.memoryBytes)})`],
    ['copies answered', `${formatCount(tier.hits)} of ${formatCount(tier.hits + tier.misses)}`],
    ['promoted, demoted', `${formatCount(tier.promotions)}, ${formatCount(tier.demotions)}`],
  ];
}

export function renderStats(output: Output, stats: StoreStats): string {
  const { values, index, log, checkpoint, recovery, io, operations, latency } = stats;
  return renderGroups(output, [
    {
      title: 'store',
      rows: [
        ['path', stats.path],
        ['entries', formatCount(stats.entries)],
        ['I/O', `${io.backend}, ${io.direct ? 'direct' : 'through the page cache'}`],
        ...io.degraded.map((what) => ['degraded', what] as const),
      ],
    },
    {
      title: 'values',
      rows: [
        ['live slots', formatCount(values.liveSlots)],
        ['allocated', formatBytes(values.allocatedBytes)],
        ['reserved', formatBytes(values.reservedBytes)],
        ['capacity', values.capacityBytes > 0 ? formatBytes(values.capacityBytes) : 'no limit'],
        ['in memory', formatBytes(values.memoryBytes)],
        [
          'device reads',
          `${formatCount(values.deviceReads)} (${formatBytes(values.deviceReadBytes)})`,
        ],
        [
          'device writes',
          `${formatCount(values.deviceWrites)} (${formatBytes(values.deviceWriteBytes)})`,
        ],
        ['memory hits', formatCount(values.memoryHits)],
        ...(values.tier === undefined ? [] : tierRows(values.tier)),
      ],
    },
    {
      title: 'index',
      rows: [
        ['type', index.type],
        ['entries', formatCount(index.entries)],
        ['memory', `${formatBytes(index.memoryBytes)}${perKey(index.memoryBytes, index.entries)}`],
      ],
    },
    {
      title: 'log',
      rows: [
        ['appended sequence', formatCount(log.appendedSequence)],
        ['durable sequence', formatCount(log.durableSequence)],
        ['live', formatBytes(log.liveBytes)],
        [
          'written',
          `${formatBytes(log.bytesWritten)} in ${formatCount(log.groups)} groups, ${formatCount(log.syncs)} syncs`,
        ],
      ],
    },
    {
      title: 'checkpoint',
      rows: [
        ['sequence', formatCount(checkpoint.sequence)],
        ['size', formatBytes(checkpoint.bytes)],
        ['written since open', formatCount(checkpoint.count)],
      ],
    },
    {
      title: 'recovery',
      rows: [
        [
          'replayed',
          `${formatCount(recovery.records)} records in ${formatDuration(recovery.milliseconds / 1000)}`,
        ],
        ['torn tail', recovery.tornTail ? 'yes, cut' : 'no'],
      ],
    },
    {
      title: 'since open',
      rows: [
        ['gets', `${formatCount(operations.gets)}, ${formatCount(operations.hits)} hits`],
        ['puts', formatCount(operations.puts)],
        ['deletes', formatCount(operations.deletes)],
        ['batches', formatCount(operations.batches)],
        ...latencyRow('get', latency.get),
        ...latencyRow('put', latency.put),
        ...latencyRow('delete', latency.delete),
      ],
    },
  ]);
}

/** Of a few keys it would only show the size of an empty index. */
function perKey(bytes: number, keys: number): string {
  return keys >= 1000 ? ` (${(bytes / keys).toFixed(1)} B per key)` : '';
}

function latencyRow(name: string, summary: LatencySummary): readonly (readonly [string, string])[] {
  if (summary.count === 0) return [];
  const { p50, p99, p999, max } = summary;
  const parts = [
    `p50 ${formatMicroseconds(p50)}`,
    `p99 ${formatMicroseconds(p99)}`,
    `p99.9 ${formatMicroseconds(p999)}`,
    `max ${formatMicroseconds(max)}`,
  ];
  return [[`${name} latency`, parts.join(', ')]];
}
