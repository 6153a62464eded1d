import type { Readable, Writable } from 'node:stream';
import type { Store } from '../index.js';
import type { Output } from './output.js';
import { SILENT, startProgress, type Progress, type ProgressOptions } from './progress.js';

/** As in the configuration document: snake_case fields. */
export type RawConfig = Readonly<Record<string, unknown>>;
export type OpenStore = (path: string, config: RawConfig) => Promise<Store>;

/** What the process offers; tests pass their own. */
export interface Host {
  readonly open: OpenStore;
  readonly stdin: Readable;
  readonly stdout: Writable & { readonly isTTY?: boolean };
  readonly stderr: Writable & { readonly isTTY?: boolean };
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly version: string;
  /** Gives the signals back to whoever runs next: the benchmark ends its own child processes. */
  readonly releaseSignals?: () => void;
}

/** What every command gets. */
export interface Context {
  readonly host: Host;
  readonly output: Output;
  /** Aborted by SIGINT, SIGTERM, SIGHUP, and when the reader of stdout goes away. */
  readonly signal: AbortSignal;
  progress(options: ProgressOptions): Progress;
}

/** @returns the exit code. */
export type CommandResult = Promise<number>;

export function createContext(host: Host, output: Output, signal: AbortSignal): Context {
  return {
    host,
    output,
    signal,
    // With --json stderr is read by programs: it holds an error object or nothing.
    progress: (options) =>
      output.quiet || output.json ? SILENT : startProgress(host.stderr, options),
  };
}
