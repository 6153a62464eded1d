import type { Writable } from 'node:stream';
import cliProgress from 'cli-progress';
import { formatBytes, formatCount, formatDuration } from './format.js';

export type ProgressUnit = 'entries' | 'bytes' | 'records';

/** What a command tells about its progress while it runs. */
export interface Progress {
  update(done: number): void;
  /** Draws the last state and leaves the line. */
  stop(): void;
}

export interface ProgressOptions {
  readonly label: string;
  readonly unit: ProgressUnit;
  /** 0 when it is not known: then there is a rate, but no bar and no ETA. */
  readonly total: number;
  /** Where the work begins, when it goes on from an earlier run. */
  readonly done?: number;
}

export const SILENT: Progress = { update: () => undefined, stop: () => undefined };

const BAR_WIDTH = 30;
const LINE_INTERVAL_MS = 10_000;

/** A bar on a terminal; a line every ten seconds in a log file. */
export function startProgress(
  stderr: Writable & { readonly isTTY?: boolean },
  options: ProgressOptions,
): Progress {
  const meter = new RateMeter(options.done ?? 0, performance.now());
  return stderr.isTTY === true
    ? startBar(stderr, options, meter)
    : startLines(stderr, options, meter);
}

function startBar(stderr: Writable, options: ProgressOptions, meter: RateMeter): Progress {
  const bar = new cliProgress.SingleBar({
    stream: stderr,
    fps: 8,
    barsize: BAR_WIDTH,
    hideCursor: false,
    clearOnComplete: false,
    gracefulExit: false, // the command closes the store and stops the bar itself
    format: (_options, params) =>
      describeProgress(options, params.value, meter, drawBar(options.total, params.value)),
  });
  bar.start(options.total, options.done ?? 0);
  return {
    update: (done) => {
      meter.update(done, performance.now());
      bar.update(done);
    },
    stop: () => bar.stop(),
  };
}

function startLines(stderr: Writable, options: ProgressOptions, meter: RateMeter): Progress {
  let done = options.done ?? 0;
  let due = performance.now() + LINE_INTERVAL_MS;
  return {
    update: (now) => {
      done = now;
      const time = performance.now();
      meter.update(done, time);
      if (time < due) return;
      due = time + LINE_INTERVAL_MS;
      stderr.write(`${describeProgress(options, done, meter, '')}\n`);
    },
    stop: () => undefined,
  };
}

/** Both numbers of a rate are smoothed over the last seconds: a stall shows, a hiccup does not. */
export class RateMeter {
  #rate = 0;
  #done: number;
  #time: number;

  constructor(done: number, timeMs: number) {
    this.#done = done;
    this.#time = timeMs;
  }

  update(done: number, timeMs: number): void {
    const elapsed = (timeMs - this.#time) / 1000;
    // Shorter windows measure the timer more than the work.
    if (elapsed < 0.1) return;
    const rate = (done - this.#done) / elapsed;
    const weight = this.#rate === 0 ? 1 : 1 - Math.exp(-elapsed / SMOOTHING_SECONDS);
    this.#rate += (rate - this.#rate) * weight;
    this.#done = done;
    this.#time = timeMs;
  }

  get perSecond(): number {
    return this.#rate;
  }

  secondsLeft(done: number, total: number): number {
    return this.#rate > 0 ? Math.max(0, total - done) / this.#rate : Number.POSITIVE_INFINITY;
  }
}

const SMOOTHING_SECONDS = 4;

/** `import [=====     ] 41% 41,200/100,000 entries, 52,100/s, ETA 1.1 s` */
export function describeProgress(
  options: ProgressOptions,
  done: number,
  meter: RateMeter,
  bar: string,
): string {
  const amount = (value: number): string =>
    options.unit === 'bytes' ? formatBytes(value) : formatCount(value);
  const noun = options.unit === 'bytes' ? '' : ` ${options.unit}`;
  const rate = `${amount(meter.perSecond)}/s`;
  if (options.total <= 0) return `${options.label} ${amount(done)}${noun}, ${rate}`;
  const percent = Math.floor((100 * Math.min(done, options.total)) / options.total);
  const left = meter.secondsLeft(done, options.total);
  const eta = Number.isFinite(left) ? formatDuration(left) : '-';
  const head = bar === '' ? options.label : `${options.label} ${bar}`;
  return `${head} ${percent}% ${amount(done)}/${amount(options.total)}${noun}, ${rate}, ETA ${eta}`;
}

function drawBar(total: number, done: number): string {
  if (total <= 0) return '';
  const filled = Math.round(BAR_WIDTH * Math.min(1, done / total));
  return `[${'='.repeat(filled)}${' '.repeat(BAR_WIDTH - filled)}]`;
}
