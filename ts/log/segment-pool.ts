import type { FileId, FileSet } from '../bindings/file-set.js';
import type { SegmentFile } from './replay.js';
import {
  prepareSegmentFile,
  prepareSegmentFileSync,
  segmentFileIndex,
  segmentFileName,
} from './segment-files.js';

export interface SegmentPoolOptions {
  readonly segmentBytes: number;
  /** All segment files together. */
  readonly capacityBytes: number;
}

/**
 * The segment files of a log: prepares new ones, takes over those found at open, and hands each
 * that is free to the writer.
 */
export class SegmentPool {
  readonly #files: FileSet;
  readonly #options: SegmentPoolOptions;
  /** Takes a free segment. */
  readonly #take: (file: FileId) => void;
  readonly #names = new Map<FileId, string>();
  /** Live segments from before this open: the writer does not know them. */
  #old: SegmentFile[] = [];
  #oldBytes = 0;
  #making: Promise<void> | undefined;
  /** Numbers of files found at open, whoever made them: those of new files lie between. */
  readonly #foundIndexes = new Set<number>();
  #nextFileIndex = 0;

  constructor(files: FileSet, options: SegmentPoolOptions, take: (file: FileId) => void) {
    this.#files = files;
    this.#options = options;
    this.#take = take;
  }

  /** In live segments from before this open. */
  get oldBytes(): number {
    return this.#oldBytes;
  }

  /** Takes over a file found at open; a read-only log leaves it as it is. */
  async found(segment: SegmentFile, readOnly: boolean): Promise<void> {
    this.#names.set(segment.file, segment.name);
    this.#foundIndexes.add(segmentFileIndex(segment.name));
    if (segment.segmentId !== 0) {
      this.#old.push(segment);
      this.#oldBytes += segment.fileBytes;
    } else if (!readOnly) await this.#recycle(segment);
  }

  /** Prepares one segment. @throws CairnError CAIRN_NO_SPACE, CAIRN_IO. */
  async add(): Promise<void> {
    const name = this.#newName();
    this.#adopt(await prepareSegmentFile(this.#files, name, this.#options.segmentBytes), name);
  }

  /**
   * Prepares one while the caller blocks, beyond the capacity if need be: a synchronous writer
   * cannot wait for a checkpoint, which needs the event loop. The next open removes what is too much.
   */
  addSync(): void {
    const name = this.#newName();
    this.#adopt(prepareSegmentFileSync(this.#files, name, this.#options.segmentBytes), name);
  }

  /** Prepares segments in the background for as long as more are wanted and fit the capacity. */
  fill(wanted: () => boolean, onFailure: (error: unknown) => void): void {
    if (this.#making !== undefined || !wanted() || !this.#hasRoomFor(1)) return;
    this.#making = this.add().then(
      () => {
        this.#making = undefined;
        this.fill(wanted, onFailure);
      },
      (error: unknown) => {
        this.#making = undefined;
        onFailure(error);
      },
    );
  }

  /** Segments from before this open, below segmentId, are free: a durable manifest says so. */
  release(segmentId: number): void {
    const gone = this.#old.filter((segment) => segment.segmentId < segmentId);
    this.#old = this.#old.filter((segment) => segment.segmentId >= segmentId);
    this.#oldBytes = this.#old.reduce((sum, segment) => sum + segment.fileBytes, 0);
    // A file that stays is taken over or removed by the next open.
    for (const segment of gone) void this.#recycle(segment).catch(() => undefined);
  }

  async close(): Promise<void> {
    await this.#making;
    for (const file of this.#names.keys()) this.#files.close(file);
    this.#names.clear();
  }

  #newName(): string {
    while (this.#foundIndexes.has(this.#nextFileIndex)) this.#nextFileIndex++;
    return segmentFileName(this.#nextFileIndex++);
  }

  #hasRoomFor(more: number): boolean {
    const bytes = (this.#names.size + more) * this.#options.segmentBytes;
    return bytes <= this.#options.capacityBytes;
  }

  #adopt(file: FileId, name: string): void {
    this.#names.set(file, name);
    this.#take(file);
  }

  /** A file of the right size is a free segment; another one is removed. */
  async #recycle(segment: SegmentFile): Promise<void> {
    if (segment.fileBytes === this.#options.segmentBytes && this.#hasRoomFor(0)) {
      this.#adopt(segment.file, segment.name);
      return;
    }
    this.#names.delete(segment.file);
    this.#files.close(segment.file);
    await this.#files.remove(segment.name);
    await this.#files.syncDirectory();
  }
}
