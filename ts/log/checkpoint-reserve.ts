import type { FileId, FileSet, OpenMode } from '../bindings/file-set.js';
import { alignUp, MIB, PAGE_BYTES } from '../common/units.js';
import { checkpointFileId, checkpointFileName } from './checkpoint.js';

/** What the next checkpoint is written over; its bytes mean nothing. */
export const RESERVE_FILE = 'RESERVE';
const OPEN_EXISTING = 0;
const OPEN_OR_CREATE = 2;
/** More than twice what is needed, and this, goes back to the file system. */
const SLACK_BYTES = 16 * MIB;

/**
 * Space for the next checkpoint, so that a full device does not keep a store from making the one
 * that frees its log. It is the file of the checkpoint before, kept instead of removed: what two
 * checkpoints take while the second is written stays taken. The file of the one in force is made as
 * long, because it is the space for the one after that.
 */
export class CheckpointReserve {
  readonly #files: FileSet;
  /** The id of the checkpoint in force, 0: none. */
  readonly #inForce: () => number;
  #file: FileId | undefined;
  /** There is a file of that name, opened or not. */
  #kept: boolean;
  /** A checkpoint is written over it: when it ends, {@link hold} is called again. */
  #taken = false;
  #holding: Promise<void> = Promise.resolve();

  private constructor(files: FileSet, inForce: () => number, kept: boolean) {
    this.#files = files;
    this.#kept = kept;
    this.#inForce = inForce;
  }

  /** Takes over what a crash left of checkpoints that are not in force. */
  static async open(files: FileSet, inForce: () => number): Promise<CheckpointReserve> {
    const checkpointId = inForce();
    let kept = files.list().includes(RESERVE_FILE);
    for (const name of files.list()) {
      const id = checkpointFileId(name);
      if (id === undefined || id === checkpointId) continue;
      if (kept) await files.remove(name);
      else await files.rename(name, RESERVE_FILE);
      kept = true;
    }
    return new CheckpointReserve(files, inForce, kept);
  }

  /**
   * Makes both files long enough for a checkpoint of that many bytes.
   *
   * @throws CairnError CAIRN_NO_SPACE, CAIRN_IO: they are as they were, or one is longer.
   */
  hold(bytes: number): Promise<void> {
    const held = this.#holding.then(() => this.#resize(alignUp(bytes, PAGE_BYTES)));
    this.#holding = held.catch(() => undefined);
    return held;
  }

  /** As {@link hold}, blocking. */
  holdSync(bytes: number): void {
    if (this.#taken) return;
    const files = this.#files;
    const { native } = files;
    const open = (name: string, mode: OpenMode): FileId =>
      files.runSync('open', name, (token) => native.open(name, mode, token));
    const size = alignUp(bytes, PAGE_BYTES);
    const grow = (name: string, file: FileId): void => {
      if (files.sizeOf(file) >= size) return;
      files.runSync('grow', name, (token) => native.grow(file, size, token));
    };
    this.#file ??= open(RESERVE_FILE, OPEN_OR_CREATE);
    this.#kept = true;
    grow(RESERVE_FILE, this.#file);
    const id = this.#inForce();
    if (id === 0) return;
    const file = open(checkpointFileName(id), OPEN_EXISTING);
    try {
      grow(checkpointFileName(id), file);
    } finally {
      files.close(file);
    }
  }

  /** Becomes the file of checkpoint `id`. */
  async take(id: number): Promise<void> {
    this.#taken = true;
    await this.#holding;
    if (this.#file !== undefined) this.#files.close(this.#file);
    this.#file = undefined;
    if (!this.#kept) return;
    await this.#files.rename(RESERVE_FILE, checkpointFileName(id));
    this.#kept = false;
  }

  /** The file of checkpoint `id` is not in force, or not any more. 0: there was none. */
  async put(id: number): Promise<void> {
    // A file that keeps its name is taken over by the next open.
    if (id !== 0) {
      await this.#files.rename(checkpointFileName(id), RESERVE_FILE).then(
        () => (this.#kept = true),
        () => false,
      );
    }
    this.#taken = false;
  }

  async close(): Promise<void> {
    this.#taken = true;
    await this.#holding;
    if (this.#file !== undefined) this.#files.close(this.#file);
    this.#file = undefined;
  }

  async #resize(bytes: number): Promise<void> {
    if (this.#taken) return;
    const file = this.#file ?? (await this.#opened());
    const size = this.#files.sizeOf(file);
    if (size < bytes) await this.#files.grow(file, bytes);
    else if (size > 2 * bytes + SLACK_BYTES) await this.#files.truncate(file, bytes);
    await this.#growInForce(bytes);
  }

  async #opened(): Promise<FileId> {
    const file = await this.#files.open(RESERVE_FILE, OPEN_OR_CREATE);
    this.#kept = true;
    // A blocking hold may have opened it meanwhile.
    if (this.#file !== undefined) this.#files.close(file);
    this.#file ??= file;
    return this.#file;
  }

  async #growInForce(bytes: number): Promise<void> {
    const id = this.#inForce();
    if (id === 0) return;
    const file = await this.#files.open(checkpointFileName(id), OPEN_EXISTING);
    try {
      if (this.#files.sizeOf(file) < bytes) await this.#files.grow(file, bytes);
    } finally {
      this.#files.close(file);
    }
  }
}
