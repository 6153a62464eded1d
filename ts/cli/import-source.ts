import type { Key } from '../index.js';
import type { Lease } from './window.js';

/** How far a source has been read: everything before it is behind us. */
export interface Position {
  readonly entries: number;
  /** dir: the last path, as base64, since a path need not be text. */
  readonly path?: string;
  /** ndjson: where the next line begins. */
  readonly byte?: number;
  readonly line?: number;
}

export const START: Position = { entries: 0 };

export interface SourceEntry {
  /** Size if it is known before {@link load}, else 0. */
  readonly bytes: number;
  /** The position once this entry is done. */
  readonly position: Position;
  /** For the progress bar. */
  readonly done: number;
  /** Reads the entry; undefined when it has turned out to be none. */
  load(lease: Lease): Promise<LoadedEntry | undefined> | LoadedEntry;
}

export interface LoadedEntry {
  readonly key: Key;
  readonly value: Uint8Array;
  /** What to call it in an error: a path or a line. */
  readonly name: string;
}

/** Something that can be imported, one format each. */
export interface ImportSource {
  readonly unit: 'entries' | 'bytes';
  /** What is left out on the way, by reason. */
  readonly skipped: Readonly<Record<string, number>>;
  /** 0 when it is not known. */
  total(signal: AbortSignal): Promise<number>;
  /** In a fixed order, so that a position means the same in the next run. */
  entries(from: Position, signal: AbortSignal): AsyncIterable<SourceEntry>;
}
