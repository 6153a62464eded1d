/**
 * Ratios on machines that drift: the subject and its yardstick take turns, every turn counts, and the
 * ratio is the median over the turns. One run beside another can be off by two to four times here.
 */
export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** Microseconds per operation. */
export interface Latency {
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
}

/** What one turn of one contender gave. */
export interface Sample {
  /** In the row's unit. */
  readonly value: number;
  readonly latency?: Latency;
  /** Anything else the row wants to look at, by name. */
  readonly extra?: Readonly<Record<string, number>>;
}

export interface Contender {
  readonly name: string;
  run(round: number): Promise<Sample>;
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** Linear interpolation between the two nearest ranks; NaN of nothing. */
export function quantile(values: readonly number[], q: number): number {
  if (values.length === 0) return Number.NaN;
  const sorted = [...values].sort((a, b) => a - b);
  const place = (sorted.length - 1) * q;
  const low = sorted[Math.floor(place)] ?? Number.NaN;
  const high = sorted[Math.ceil(place)] ?? Number.NaN;
  return low + (high - low) * (place - Math.floor(place));
}

export function spread(values: readonly number[]): Spread {
  return {
    median: median(values),
    min: values.length === 0 ? Number.NaN : Math.min(...values),
    max: values.length === 0 ? Number.NaN : Math.max(...values),
  };
}

/** Element-wise median of the turns' latencies. */
export function medianLatency(samples: readonly Sample[]): Latency | undefined {
  const all = samples.flatMap((sample) => (sample.latency === undefined ? [] : [sample.latency]));
  if (all.length === 0) return undefined;
  return {
    p50: median(all.map((one) => one.p50)),
    p99: median(all.map((one) => one.p99)),
    p999: median(all.map((one) => one.p999)),
  };
}

/**
 * One ratio per turn: the subject over the mean of the yardstick before and after it.
 *
 * @param yardstick one more than there are subjects.
 */
export function bracketedRatios(
  subject: readonly number[],
  yardstick: readonly number[],
): readonly number[] {
  return subject.map((value, i) => {
    const before = yardstick[i] ?? Number.NaN;
    const after = yardstick[i + 1] ?? before;
    return value / ((before + after) / 2);
  });
}

/** One ratio per turn against a contender that ran in the same turn. */
export function pairedRatios(
  subject: readonly number[],
  other: readonly number[],
): readonly number[] {
  return subject.map((value, i) => value / (other[i] ?? Number.NaN));
}

export interface Interleaved {
  /** By the contender's name, in turn order; the yardstick has one more than the others. */
  readonly samples: ReadonlyMap<string, readonly Sample[]>;
}

export interface InterleavePlan {
  /** Runs before and after every turn of the others. */
  readonly yardstick?: Contender;
  readonly contenders: readonly Contender[];
  readonly rounds: number;
  /** Untimed turns of everything first. */
  readonly warmups?: number;
}

/** yardstick, contenders, yardstick, contenders, ..., yardstick. No turn is dropped. */
export async function interleave(plan: InterleavePlan): Promise<Interleaved> {
  const samples = new Map<string, Sample[]>();
  const turn = async (contender: Contender, round: number): Promise<void> => {
    const sample = await contender.run(round);
    const list = samples.get(contender.name) ?? [];
    list.push(sample);
    samples.set(contender.name, list);
  };
  for (let i = 0; i < (plan.warmups ?? 0); i += 1) {
    for (const contender of plan.contenders) await contender.run(-1);
  }
  for (let round = 0; round < plan.rounds; round += 1) {
    if (plan.yardstick !== undefined) await turn(plan.yardstick, round);
    for (const contender of plan.contenders) await turn(contender, round);
  }
  if (plan.yardstick !== undefined) await turn(plan.yardstick, plan.rounds);
  return { samples };
}

export function valuesOf(result: Interleaved, name: string): readonly number[] {
  return (result.samples.get(name) ?? []).map((sample) => sample.value);
}

/** Log-linear buckets: 32 to each power of two, so a quantile is at most 3 % off. */
export class LatencyHistogram {
  // Nanoseconds from 1 to 2^40 (18 minutes): 40 powers of two.
  readonly #counts = new Float64Array(40 * 32);
  #total = 0;

  add(milliseconds: number): void {
    const nanoseconds = Math.max(1, milliseconds * 1e6);
    const power = Math.min(39, Math.floor(Math.log2(nanoseconds)));
    const step = Math.min(31, Math.floor((nanoseconds / 2 ** power - 1) * 32));
    const bucket = power * 32 + step;
    this.#counts[bucket] = (this.#counts[bucket] ?? 0) + 1;
    this.#total += 1;
  }

  /** Microseconds at the middle of the bucket that holds the quantile. */
  quantile(q: number): number {
    const wanted = Math.max(1, Math.ceil(this.#total * q));
    let seen = 0;
    for (let i = 0; i < this.#counts.length; i += 1) {
      seen += this.#counts[i] ?? 0;
      if (seen >= wanted) {
        return (2 ** Math.floor(i / 32) * (1 + ((i % 32) + 0.5) / 32)) / 1000;
      }
    }
    return Number.NaN;
  }

  summary(): Latency {
    return { p50: this.quantile(0.5), p99: this.quantile(0.99), p999: this.quantile(0.999) };
  }
}
