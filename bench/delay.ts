import type { monitorEventLoopDelay } from 'node:perf_hooks';
import type { Sample } from './measure.js';

/** What the monitor saw, in milliseconds. */
export function delaySample(
  monitor: ReturnType<typeof monitorEventLoopDelay>,
  extra: Readonly<Record<string, number>>,
): Sample {
  return {
    value: monitor.percentile(99) / 1e6,
    extra: {
      ...extra,
      p50: monitor.percentile(50) / 1e6,
      p999: monitor.percentile(99.9) / 1e6,
      max: monitor.max / 1e6,
      samples: Number(monitor.count),
    },
  };
}
