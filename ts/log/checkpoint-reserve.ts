import type { FileId, FileSet, OpenMode } from '../bindings/file-set.js';
import { isCairnError } from '../common/errors.js';
import { alignUp, MIB, PAGE_BYTES } from '../common/units.js';
import { checkpointFileId, checkpointFileName } from './checkpoint.js';

/** What the next checkpoint is written over; its bytes mean nothing. */
export const RESERVE_FILE = 'RESERVE';
/**
 * An empty file with a name at least as long as a checkpoint's. On XFS a small directory lies in its
 * inode, and a name that finds no room there takes blocks, which a full device does not have: this one
 * goes then. A file that is renamed has both names for a moment.
 */
export const NAME_FILE = 'RESERVE-name-of-next-checkpoint';
const OPEN_EXISTING = 0;
const OPEN_OR_CREATE = 2;
/** More than twice what is needed, and this, goes back to the file system. */
const SLACK_BYTES = 16 * MIB;

/**
 * Space for the next checkpoint, so that a full device does not keep a store from making the one
 * that frees its log. It is the file of the checkpoint before, kept instead of removed: what two
 * checkpoints take while the second is written stays taken. The file of the one in force is made as
 * long, because it is the space for the one after that; before the first one a file of number 0, which
 * is none's, stands for it.
 */
export class CheckpointReserve {
  readonly #files: FileSet;
  /** The id of the checkpoint in force, 0: none. */
  readonly #inForce: () => number;
  #file: FileId | undefined;
  /** There is a file of that name, opened or not. */
  #kept: boolean;
  /** {@link NAME_FILE} is there. */
  #hasName: boolean;
  /** A checkpoint is written over it: when it ends, {@link hold} is called again. */
  #taken = false;
  #holding: Promise<void> = Promise.resolve();

  private constructor(files: FileSet, inForce: () => number) {
    const names = files.list();
    this.#files = files;
    this.#kept = names.includes(RESERVE_FILE);
    this.#hasName = names.includes(NAME_FILE);
    this.#inForce = inForce;
  }

  /** Takes over what a crash left of checkpoints that are not in force. */
  static async open(files: FileSet, inForce: () => number): Promise<CheckpointReserve> {
    const checkpointId = inForce();
    const reserve = new CheckpointReserve(files, inForce);
    for (const name of files.list()) {
      const id = checkpointFileId(name);
      if (id === undefined || id === checkpointId) continue;
      if (reserve.#kept) await files.remove(name);
      else await reserve.#rename(name, RESERVE_FILE);
      reserve.#kept = true;
    }
    await reserve.#keepName();
    return reserve;
  }

  /**
   * Makes both files long enough for a checkpoint of that many bytes.
   *
   * @throws CairnError CAIRN_NO_SPACE, CAIRN_IO: they are as they were, or RESERVE is longer; or
   *   shorter, where it had what the other one lacks.
   */
  hold(bytes: number): Promise<void> {
    const held = this.#holding.then(() => this.#resize(alignUp(bytes, PAGE_BYTES)));
    // Whoever asked hears of it before: nothing more is to be put.
    this.#holding = held.catch((error: unknown) => this.#share(error)).catch(() => undefined);
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
    const name = checkpointFileName(this.#inForce());
    const file = open(name, this.#modeInForce());
    try {
      grow(name, file);
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
    await this.#rename(RESERVE_FILE, checkpointFileName(id));
    this.#kept = false;
  }

  /** The file of checkpoint `id` is not in force, or not any more; undefined: it goes elsewhere. */
  async put(id: number | undefined): Promise<void> {
    // A file that keeps its name is taken over by the next open.
    if (id !== undefined) {
      await this.#rename(checkpointFileName(id), RESERVE_FILE).then(
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
    await this.#keepName();
    const size = this.#files.sizeOf(file);
    if (size < bytes) await this.#files.grow(file, bytes);
    else if (size > 2 * bytes + SLACK_BYTES) await this.#files.truncate(file, bytes);
    await this.#withInForce(async (inForce) => {
      if (this.#files.sizeOf(inForce) < bytes) await this.#files.grow(inForce, bytes);
    });
  }

  /** There is too little for both: what there is does for checkpoints that are half as long. */
  async #share(error: unknown): Promise<void> {
    const file = this.#file;
    if (file === undefined || this.#taken || !isCairnError(error, 'CAIRN_NO_SPACE')) return;
    const files = this.#files;
    await this.#withInForce(async (inForce) => {
      const half = alignUp((files.sizeOf(file) + files.sizeOf(inForce)) / 2, PAGE_BYTES);
      if (files.sizeOf(inForce) >= half) return;
      await files.truncate(file, half);
      await files.grow(inForce, half - PAGE_BYTES);
    });
  }

  async #rename(from: string, to: string): Promise<void> {
    try {
      await this.#files.rename(from, to);
    } catch (error) {
      if (!this.#hasName || !isCairnError(error, 'CAIRN_NO_SPACE')) throw error;
      this.#hasName = false;
      await this.#files.remove(NAME_FILE);
      await this.#files.rename(from, to);
    }
  }

  /** Without it a checkpoint may be refused, and nothing else. */
  async #keepName(): Promise<void> {
    if (this.#hasName) return;
    const made = await this.#files.open(NAME_FILE, OPEN_OR_CREATE).catch(() => undefined);
    if (made === undefined) return;
    this.#files.close(made);
    this.#hasName = true;
  }

  async #withInForce(use: (file: FileId) => Promise<void>): Promise<void> {
    const files = this.#files;
    const file = await files.open(checkpointFileName(this.#inForce()), this.#modeInForce());
    try {
      await use(file);
    } finally {
      files.close(file);
    }
  }

  #modeInForce(): OpenMode {
    return this.#inForce() === 0 ? OPEN_OR_CREATE : OPEN_EXISTING;
  }

  async #opened(): Promise<FileId> {
    const file = await this.#files.open(RESERVE_FILE, OPEN_OR_CREATE);
    this.#kept = true;
    // A blocking hold may have opened it meanwhile.
    if (this.#file !== undefined) this.#files.close(file);
    this.#file ??= file;
    return this.#file;
  }
}
