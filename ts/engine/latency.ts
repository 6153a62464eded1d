import type { LatencySummary } from './api.js';

/** Buckets per doubling: a bucket is at most 1/16 = 6 % wide. */
const STEPS = 16;
const OCTAVES = 36; // up to 2^36 ns, a minute

/** Every n-th operation is timed: reading the clock twice costs as much as a tenth of a hot get. */
export const SAMPLE_EVERY = 8;

/** A log-linear histogram of nanoseconds. */
export class LatencyHistogram {
  readonly #buckets = new Float64Array(STEPS * OCTAVES);
  #count = 0;
  #sum = 0;
  #max = 0;
  #turn = SAMPLE_EVERY - 1; // the first one is timed

  /** Start time of an operation to be timed, or 0 for the ones in between. */
  start(): number {
    if (++this.#turn < SAMPLE_EVERY) return 0;
    this.#turn = 0;
    return performance.now();
  }

  /** @param started what {@link start} returned. */
  stop(started: number): void {
    if (started === 0) return;
    const ns = (performance.now() - started) * 1e6;
    this.#count++;
    this.#sum += ns;
    if (ns > this.#max) this.#max = ns;
    const bucket = bucketOf(ns);
    this.#buckets[bucket] = (this.#buckets[bucket] as number) + 1;
  }

  summary(): LatencySummary {
    return {
      count: this.#count,
      mean: this.#count === 0 ? 0 : this.#sum / this.#count / 1000,
      p50: this.#quantile(0.5),
      p99: this.#quantile(0.99),
      p999: this.#quantile(0.999),
      max: this.#max / 1000,
    };
  }

  #quantile(share: number): number {
    let left = this.#count * share;
    if (this.#count === 0) return 0;
    for (let bucket = 0; bucket < this.#buckets.length; bucket++) {
      left -= this.#buckets[bucket] as number;
      if (left <= 0) return upperBound(bucket) / 1000;
    }
    return this.#max / 1000;
  }
}

function bucketOf(ns: number): number {
  if (ns < STEPS) return Math.max(0, Math.floor(ns));
  const octave = Math.floor(Math.log2(ns));
  const step = Math.floor((ns / 2 ** octave - 1) * STEPS);
  return Math.min((octave - 3) * STEPS + step, STEPS * OCTAVES - 1);
}

function upperBound(bucket: number): number {
  if (bucket < STEPS) return bucket + 1;
  const octave = Math.floor(bucket / STEPS) + 3;
  return 2 ** octave * (1 + ((bucket % STEPS) + 1) / STEPS);
}
