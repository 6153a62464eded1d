import { resolve as absolutePath } from 'node:path';
import type { FileSet } from '../bindings/file-set.js';
import { CairnError } from '../common/errors.js';
import { INDEX_CURSOR_END, type IndexPages } from '../index/index.js';
import { importGroups } from '../index/index-groups.js';
import { CheckpointReader, CheckpointWriter } from '../log/checkpoint.js';
import { copyLog, readLogCopy, type LogPart } from '../log/log-copy.js';
import { RECORD_PUT, RECORD_PUT_REF } from '../log/log.js';
import { ManifestFile, type ManifestRoot } from '../log/manifest.js';
import type { RecordBatch } from '../log/record-batch.js';
import type { CopyHold } from '../value-store/value-store.js';
import { ValuesCopy, type RecordMarks } from '../value-store/values-copy.js';
import type { BackupOptions, BackupReport } from './api.js';
import { abortable, abortError } from './calls.js';
import { ChunkKind, type Checkpointer } from './checkpointer.js';
import { handlesOf } from './page-room.js';
import type { StoreParts } from './parts.js';
import { Slicer } from './slicer.js';
import { stepOf } from './walk.js';

const PROGRESS_EVERY_MS = 250;
const DAMAGE_LISTED_MAX = 1000;

/** What a copy is made from: a checkpoint, the log since, and the records that the two name. */
interface Snapshot {
  readonly root: ManifestRoot;
  readonly log: LogPart;
  readonly hold: CopyHold | undefined;
  release(): void;
}

/**
 * Copies an open store to another place while it is written. One at a time; a later one waits.
 *
 * A snapshot is a checkpoint that has just come into force and the log from its start up to the
 * sequence that is durable then: what recovery would make of the two at that moment. The log is
 * copied before another checkpoint can begin; the file of the checkpoint and the slots of the
 * snapshot are held until they are copied.
 */
export class Backups {
  readonly #parts: StoreParts;
  readonly #checkpointer: Checkpointer;
  readonly #stopped = { aborted: false };
  #queue: Promise<unknown> = Promise.resolve();

  constructor(parts: StoreParts, checkpointer: Checkpointer) {
    this.#parts = parts;
    this.#checkpointer = checkpointer;
  }

  run(path: string, options: BackupOptions): Promise<BackupReport> {
    const { signal } = options;
    const before = this.#queue;
    const turn = signal === undefined ? before : abortable('backup', before, signal);
    const running = turn.then(() => this.#run(path, options));
    // One that is aborted before its turn lets the next one wait for those before it.
    this.#queue = Promise.allSettled([before, running]);
    return running;
  }

  /** The store is closed: a backup under way is given up. */
  async stop(): Promise<void> {
    this.#stopped.aborted = true;
    await this.#queue;
  }

  async #run(path: string, options: BackupOptions): Promise<BackupReport> {
    const parts = this.#parts;
    refuseUnsupported(parts);
    const watch = new Watch(options, this.#stopped);
    watch.check();
    const target = await this.#openTarget(path);
    try {
      refuseUsed(target, path);
      const sequence = await this.#copyOrNothing(target, watch);
      return { sequence, ...watch.report() };
    } finally {
      await target.dispose();
    }
  }

  /** Into a target that is empty, and is again when this fails. */
  async #copyOrNothing(target: FileSet, watch: Watch): Promise<number> {
    try {
      const sequence = await this.#copy(target, watch);
      watch.finish();
      return sequence;
    } catch (error) {
      await removeFiles(target);
      throw error;
    }
  }

  #openTarget(path: string): Promise<FileSet> {
    if (typeof path !== 'string' || path === '' || path.includes('\0')) {
      throw new CairnError('CAIRN_INVALID_ARGUMENT', 'backup: a path is a string without NUL');
    }
    if (absolutePath(path) === this.#parts.path) {
      throw new CairnError('CAIRN_EXISTS', `backup: ${path} is the store itself`, {
        operation: 'backup',
        file: path,
      });
    }
    return this.#parts.openFiles(absolutePath(path));
  }

  /** The manifest comes last: without it the other files are no store. */
  async #copy(target: FileSet, watch: Watch): Promise<number> {
    const { fileSet, config } = this.#parts;
    const snapshot = config.readOnly
      ? await this.#snapshotAtRest(target, watch)
      : await this.#snapshotInUse(target, watch);
    try {
      const { root, log, hold } = snapshot;
      const { persistent } = this.#parts.values.capabilities;
      const { pages } = this.#parts.index;
      const copied = { root, persistent, pages };
      const checkpoint = await copyCheckpoint(fileSet, target, copied, watch);
      await this.#copyRecords(target, { ...root, ...checkpoint }, snapshot, watch);
      hold?.release();
      await target.syncDirectory();
      watch.check();
      const manifest = await ManifestFile.create(target, {
        ...root,
        ...checkpoint,
        durableSequence: log.lastSequence,
        clean: false,
      });
      manifest.close();
      return log.lastSequence;
    } finally {
      snapshot.release();
    }
  }

  #snapshotInUse(target: FileSet, watch: Watch): Promise<Snapshot> {
    return this.#checkpointer.snapshot(async () => {
      const release = this.#checkpointer.hold();
      const hold = this.#parts.values.holdForCopy?.();
      const releasePages = this.#parts.index.pages?.holdForCopy();
      const snapshot = this.#snapshot(hold, () => {
        releasePages?.();
        hold?.release();
        release();
      });
      try {
        await this.#copyLog(target, snapshot, watch);
      } catch (error) {
        snapshot.release();
        throw error;
      }
      return snapshot;
    });
  }

  /** Nothing is written to a store that is opened read-only: what it was opened from is still there. */
  async #snapshotAtRest(target: FileSet, watch: Watch): Promise<Snapshot> {
    const hold = this.#parts.values.holdForCopy?.();
    const snapshot = this.#snapshot(hold, () => hold?.release());
    await this.#copyLog(target, snapshot, watch);
    return snapshot;
  }

  #snapshot(hold: CopyHold | undefined, release: () => void): Snapshot {
    const { manifest, log } = this.#parts;
    const root = manifest.current;
    const { storeId, firstSegmentId, startSequence } = root;
    const lastSequence = Math.max(startSequence, log.durableSequence);
    return { root, log: { storeId, firstSegmentId, startSequence, lastSequence }, hold, release };
  }

  async #copyLog(target: FileSet, { root, log }: Snapshot, watch: Watch): Promise<void> {
    const { fileSet, values } = this.#parts;
    watch.expect(root.checkpointBytes + values.stats().allocatedBytes);
    await copyLog(fileSet, target, log, (bytes) => watch.add(bytes));
  }

  async #copyRecords(
    target: FileSet,
    root: ManifestRoot,
    { log, hold }: Snapshot,
    watch: Watch,
  ): Promise<void> {
    const { fileSet, values, config } = this.#parts;
    const { segmentBytes } = this.#parts.log;
    // What cannot be replayed is no backup, also where there are no slots to look for.
    if (hold === undefined || !values.capabilities.persistent) {
      return readLogCopy(target, log, segmentBytes, () => undefined);
    }
    const copy = new ValuesCopy(fileSet, target, {
      storeId: root.storeId,
      name: hold.name,
      bytes: hold.bytes,
      onDamage: (offset) => watch.damaged(hold.name, offset),
      onWindow: (bytes) => watch.add(bytes),
      onPassed: (offset) => hold.passed(offset),
    });
    await copy.run(async (marks) => {
      if (config.readOnly) await this.#markIndexed(marks);
      else await this.#markCheckpoint(target, root, marks);
      await readLogCopy(target, log, segmentBytes, (batch) => this.#markLogged(batch, marks));
    });
  }

  async #markIndexed(marks: RecordMarks): Promise<void> {
    await markIndex(this.#parts.index, marks, new Slicer(this.#parts));
  }

  /** The entries as the checkpoint has them: the index itself has gone on. */
  async #markCheckpoint(target: FileSet, root: ManifestRoot, marks: RecordMarks): Promise<void> {
    const { storeId, checkpointId: id, checkpointBytes, checkpointCrc, startSequence } = root;
    const expected = { bytes: checkpointBytes, crc: checkpointCrc, startSequence };
    const slicer = new Slicer(this.#parts);
    for await (const chunk of new CheckpointReader(target, { storeId, id }, expected)) {
      if (chunk.kind !== ChunkKind.indexEntries) continue;
      if (this.#parts.index.pages !== undefined) {
        importGroups(chunk.payload, (_, handle) => {
          marks.mark(handle);
          return 0;
        });
        await slicer.pause();
        continue;
      }
      const index = this.#parts.newIndex();
      try {
        index.importChunk(chunk.payload);
        await markIndex(index, marks, slicer);
      } finally {
        index.close();
      }
    }
  }

  /** Replay puts back what the log has whole; what it only names must be in its slot. */
  async #markLogged(batch: RecordBatch, marks: RecordMarks): Promise<void> {
    const { config } = this.#parts;
    for (let at = 0; at < batch.count; at++) {
      const kind = batch.kind(at);
      const handle = batch.handle(at);
      if (kind === RECORD_PUT) marks.unmark(handle);
      if (kind !== RECORD_PUT_REF) continue;
      // Slots of a store at rest may have been used again since the checkpoint, by an earlier process.
      const [named] = config.readOnly ? await handlesOf(this.#parts, [batch.key(at)]) : [handle];
      if (named === handle) marks.mark(handle);
    }
  }
}

type HandleSource = Pick<StoreParts['index'], 'handlesFrom' | 'capabilities' | 'pages'>;

async function markIndex(index: HandleSource, marks: RecordMarks, slicer: Slicer): Promise<void> {
  const handles = new Float64Array(index.capabilities.handlesPerStepMax);
  for (let cursor = 0; cursor < INDEX_CURSOR_END;) {
    const { count, next } = await stepOf(index, cursor, handles);
    cursor = next;
    marks.markAll(handles, count);
    await slicer.pause();
  }
}

/** The checkpoint of a snapshot, and what it depends on. */
interface Copied {
  readonly root: ManifestRoot;
  readonly persistent: boolean;
  readonly pages: IndexPages | undefined;
}

/**
 * Checked chunk by chunk, and written as a checkpoint of the same name. Of a store in memory with a
 * pool file only the records: the pool belongs to the source. Of an index on the device the entries
 * instead of the pages that hold them.
 */
async function copyCheckpoint(
  source: FileSet,
  target: FileSet,
  { root, persistent, pages }: Copied,
  watch: Watch,
): Promise<Pick<ManifestRoot, 'checkpointBytes' | 'checkpointCrc'>> {
  const { storeId, checkpointId: id, checkpointBytes, checkpointCrc, startSequence } = root;
  if (id === 0) return { checkpointBytes, checkpointCrc };
  const expected = { bytes: checkpointBytes, crc: checkpointCrc, startSequence };
  const writer = await CheckpointWriter.begin(target, { storeId, id }, startSequence);
  const entriesOf = pages?.copyEntries();
  try {
    for await (const chunk of new CheckpointReader(source, { storeId, id }, expected)) {
      if (!persistent && chunk.kind !== ChunkKind.records) continue;
      if (chunk.kind !== ChunkKind.indexPages || entriesOf === undefined) {
        await writer.add(chunk.kind, chunk.payload, chunk.entries);
        watch.add(chunk.payload.length);
        continue;
      }
      for await (const entries of entriesOf(chunk.payload)) {
        await writer.add(ChunkKind.indexEntries, entries, 0);
        watch.add(entries.length);
      }
    }
    const { bytes, crc } = await writer.finish();
    return { checkpointBytes: bytes, checkpointCrc: crc };
  } catch (error) {
    await writer.abandon();
    throw error;
  }
}

function refuseUnsupported({ index, values, config }: StoreParts): void {
  const copied = !index.capabilities.persistent || index.pages !== undefined;
  const kept = copied ? config.value.type : config.index.type;
  if (copied && (!values.capabilities.persistent || values.holdForCopy !== undefined)) return;
  throw new CairnError(
    'CAIRN_UNSUPPORTED',
    `backup: ${kept} keeps files that a backup does not know; close the store and copy its directory`,
    { operation: 'backup' },
  );
}

function refuseUsed(target: FileSet, path: string): void {
  const [first] = target.list();
  if (first === undefined) return;
  throw new CairnError(
    'CAIRN_EXISTS',
    `backup: ${path} is not empty: it has ${first}; name an empty or a new directory`,
    { operation: 'backup', file: path },
  );
}

/** As far as that succeeds; the manifest goes first, so that no other state is a store. */
async function removeFiles(target: FileSet): Promise<void> {
  try {
    const names = target.list();
    names.sort((a, b) => Number(b === 'MANIFEST') - Number(a === 'MANIFEST'));
    for (const name of names) await target.remove(name);
    await target.syncDirectory();
  } catch {
    // The failure that led here is the one to report.
  }
}

/** Progress, the caller's signal, and what was found damaged. */
class Watch {
  readonly #options: BackupOptions;
  readonly #stopped: { readonly aborted: boolean };
  #reported = performance.now();
  #bytes = 0;
  #totalBytes = 0;
  #damagedCount = 0;
  readonly #damaged: { file: string; offset: number; reason: string }[] = [];

  constructor(options: BackupOptions, stopped: { readonly aborted: boolean }) {
    this.#options = options;
    this.#stopped = stopped;
  }

  check(): void {
    const { signal } = this.#options;
    if (signal?.aborted === true) throw abortError(signal);
    if (this.#stopped.aborted) {
      throw new CairnError('CAIRN_CLOSED', 'backup: the store was closed', { operation: 'backup' });
    }
  }

  /** An estimate: cells with a live record are copied, and the windows that they lie in. */
  expect(bytes: number): void {
    this.#totalBytes = bytes;
  }

  add(bytes: number): void {
    this.check();
    this.#bytes += bytes;
    const now = performance.now();
    if (now - this.#reported < PROGRESS_EVERY_MS) return;
    this.#reported = now;
    this.#report(Math.max(this.#totalBytes, this.#bytes));
  }

  damaged(file: string, offset: number): void {
    const reason = `the record at ${offset} does not check`;
    if (this.#options.keepDamaged !== true) {
      throw new CairnError('CAIRN_CORRUPTION', `backup: ${file}: ${reason}`, {
        operation: 'backup',
        file,
        offset,
      });
    }
    this.#damagedCount++;
    if (this.#damaged.length < DAMAGE_LISTED_MAX) this.#damaged.push({ file, offset, reason });
  }

  finish(): void {
    this.#report(this.#bytes);
  }

  report(): Omit<BackupReport, 'sequence'> {
    return { bytes: this.#bytes, damaged: this.#damaged, damagedCount: this.#damagedCount };
  }

  #report(totalBytes: number): void {
    this.#options.progress?.({ bytes: this.#bytes, totalBytes });
  }
}
