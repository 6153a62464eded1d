import type { FileSet } from '../bindings/file-set.js';
import type { ResolvedConfig } from '../config/types.js';
import type { Index } from '../index/index.js';
import type { CheckpointReserve } from '../log/checkpoint-reserve.js';
import type { Log } from '../log/log.js';
import type { ManifestFile } from '../log/manifest.js';
import type { ValueStore } from '../value-store/value-store.js';
import type { CompactionTuning } from './factories.js';
import type { KeyCodec } from './keys.js';
import { LatencyHistogram } from './latency.js';

/** What a store is made of; the engine orders the steps between them. */
export interface StoreParts {
  readonly path: string;
  readonly config: ResolvedConfig;
  readonly fileSet: FileSet;
  readonly keys: KeyCodec;
  readonly index: Index;
  readonly values: ValueStore;
  readonly log: Log;
  readonly manifest: ManifestFile;
  /** Undefined when nothing is written. */
  readonly reserve: CheckpointReserve | undefined;
  readonly meters: Meters;
  readonly compaction: CompactionTuning;
  /** An empty index of the store's type, for a look into a checkpoint. */
  newIndex(): Index;
  /** The files at another path, made if need be, by the store's own backend. */
  openFiles(path: string): Promise<FileSet>;
}

/** Counts since open; see StoreStats. */
export class Meters {
  gets = 0;
  hits = 0;
  puts = 0;
  deletes = 0;
  batches = 0;
  bytesRead = 0;
  bytesWritten = 0;
  readonly get = new LatencyHistogram();
  readonly put = new LatencyHistogram();
  readonly delete = new LatencyHistogram();
}
