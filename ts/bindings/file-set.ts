import { getSystemErrorName } from 'node:util';
import { asError, CairnError, type ErrorCode } from '../common/errors.js';
import {
  addon,
  type IoCapabilities,
  type NativeIo,
  type OpenDirectoryOptions,
  type OpenMode,
  type SimDisk,
} from './addon.js';
import { HandlerTable, type IoChannel } from './io-channel.js';
import { errnoError, type NativeStatus, statusError, statusName } from './status.js';

export type { IoChannel } from './io-channel.js';
export type { IoCapabilities, NativeIo, OpenDirectoryOptions, OpenMode } from './addon.js';

/** A file opened through a FileSet; valid until close. */
export type FileId = number;

/** Bytes of FileSet.allocate(): the buffer, the offset in it and the length are whole pages. */
export type AlignedBytes = Uint8Array;

/** Hears how an operation ended: with an error or without. */
type Done = (error: Error | undefined) => void;

/** What allocate() aligns to. */
const PAGE_BYTES = 4096;
/**
 * Small reads share buffers: an external ArrayBuffer each costs 2 us. Each buffer is twice as large as
 * the one before, up to the second size: most files of a small store are opened with a few reads.
 */
const FIRST_SLAB_BYTES = 32 * 1024;
const SLAB_BYTES = 256 * 1024;
const SLAB_READ_BYTES_MAX = 64 * 1024;

/**
 * The named files of one store as promises. Every failure is a CairnError with the operation, the
 * file, the offset and `cause.errno`.
 *
 * Offsets and lengths are multiples of capabilities.alignmentBytes.
 */
export class FileSet {
  readonly native: NativeIo;
  readonly channel: IoChannel;
  readonly capabilities: IoCapabilities;
  /** Nothing runs by itself: results come by microtasks, without the event loop. */
  readonly simulated: boolean;
  readonly #table: HandlerTable;
  readonly #names: string[] = [];
  #kicked = false;
  #disposing: Promise<void> | undefined;
  #directoryFailure: Error | undefined;
  #slab: ArrayBuffer | undefined;
  #slabUsed = 0;

  private constructor(native: NativeIo) {
    this.native = native;
    this.#table = new HandlerTable(native);
    this.channel = this.#table;
    this.capabilities = native.capabilities;
    this.simulated = this.capabilities.name === 'SIM';
  }

  /**
   * Opens a directory, which this process then has for itself. Where the host forbids io_uring, one
   * warning a thread is emitted and the POSIX backend takes its place.
   *
   * @throws CairnError CAIRN_LOCKED, CAIRN_NOT_FOUND, CAIRN_IO, CAIRN_ADDON_MISSING.
   */
  static async openDirectory(path: string, options: OpenDirectoryOptions): Promise<FileSet> {
    const first = await openNative(path, options);
    if (first.io !== null) return new FileSet(first.io);
    if (options.backend !== 'IOURING' || statusName(first.status) !== 'kUnsupported') {
      throw statusError(first.status);
    }
    warnOfThreads(first.status);
    const second = await openNative(path, { ...options, backend: 'POSIX' });
    if (second.io === null) throw statusError(second.status);
    return new FileSet(second.io);
  }

  static simulate(disk: SimDisk): FileSet {
    return new FileSet(addon().NativeIo.simulate(disk));
  }

  static memory(): FileSet {
    return new FileSet(addon().NativeIo.memory());
  }

  async open(name: string, mode: OpenMode): Promise<FileId> {
    const file = await this.#run('open', name, undefined, (token) =>
      this.native.open(name, mode, token),
    );
    this.#names[file] = name;
    return file;
  }

  /** @returns `length` bytes of memory that nobody else sees. CAIRN_CORRUPTION past the end. */
  async read(file: FileId, offset: number, length: number): Promise<Uint8Array> {
    const bytes = this.#reserve(length);
    await this.readInto(file, offset, bytes);
    return bytes;
  }

  async readInto(file: FileId, offset: number, bytes: AlignedBytes): Promise<void> {
    await this.#run('read', this.#names[file], offset, (token) =>
      this.native.read(
        file,
        offset,
        bytes.buffer as ArrayBuffer,
        bytes.byteOffset,
        bytes.byteLength,
        token,
      ),
    );
  }

  /** `bytes` stays as it is until the promise settles. */
  async write(
    file: FileId,
    offset: number,
    bytes: AlignedBytes,
    options: { readonly sync: boolean },
  ): Promise<void> {
    await this.#run('write', this.#names[file], offset, (token) =>
      this.native.write(
        file,
        offset,
        bytes.buffer as ArrayBuffer,
        bytes.byteOffset,
        bytes.byteLength,
        options.sync,
        token,
      ),
    );
  }

  /**
   * As {@link open}, {@link readInto}, {@link write} and {@link grow}, for callers that may be waited for with
   * `channel.wait()`: `done` runs within it, where promises do not settle.
   */
  startRead(file: FileId, offset: number, bytes: AlignedBytes, done: Done): void {
    const { buffer, byteOffset, byteLength } = bytes;
    const memory = buffer as ArrayBuffer;
    this.#start(
      'read',
      this.#names[file],
      offset,
      (token) => this.native.read(file, offset, memory, byteOffset, byteLength, token),
      (_, error) => done(error),
    );
  }

  startWrite(file: FileId, offset: number, bytes: AlignedBytes, done: Done): void {
    const { buffer, byteOffset, byteLength } = bytes;
    const memory = buffer as ArrayBuffer;
    this.#start(
      'write',
      this.#names[file],
      offset,
      (token) => this.native.write(file, offset, memory, byteOffset, byteLength, false, token),
      (_, error) => done(error),
    );
  }

  startOpen(
    name: string,
    mode: OpenMode,
    done: (file: FileId, error: Error | undefined) => void,
  ): void {
    this.#start(
      'open',
      name,
      undefined,
      (token) => this.native.open(name, mode, token),
      (file, error) => {
        if (error === undefined) this.#names[file] = name;
        done(file, error);
      },
    );
  }

  startGrow(file: FileId, size: number, done: Done): void {
    this.#start(
      'grow',
      this.#names[file],
      size,
      (token) => this.native.grow(file, size, token),
      (_, error) => done(error),
    );
  }

  /** A failure is final for the file: never try again. */
  async sync(file: FileId): Promise<void> {
    await this.#run('sync', this.#names[file], undefined, (token) => this.native.sync(file, token));
  }

  async grow(file: FileId, size: number): Promise<void> {
    await this.#run('grow', this.#names[file], size, (token) =>
      this.native.grow(file, size, token),
    );
  }

  async truncate(file: FileId, size: number): Promise<void> {
    await this.#run('truncate', this.#names[file], size, (token) =>
      this.native.truncate(file, size, token),
    );
  }

  async punch(file: FileId, offset: number, length: number): Promise<void> {
    await this.#run('punch', this.#names[file], offset, (token) =>
      this.native.punch(file, offset, length, token),
    );
  }

  async rename(from: string, to: string): Promise<void> {
    await this.#run('rename', from, undefined, (token) => this.native.rename(from, to, token));
  }

  async remove(name: string): Promise<void> {
    await this.#run('remove', name, undefined, (token) => this.native.remove(name, token));
  }

  /**
   * A failure is final for all names that are not durable by then, whoever made them: a later sync
   * would succeed without what this one covered, so that every one fails from here on.
   */
  syncDirectory(): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#directoryFailure !== undefined) return reject(this.#directoryFailure);
      this.#start(
        'syncDirectory',
        undefined,
        undefined,
        (token) => this.native.syncDirectory(token),
        (_, error) => {
          // Another one may have failed while this was under way.
          this.#directoryFailure ??= error;
          if (this.#directoryFailure === undefined) resolve();
          else reject(this.#directoryFailure);
        },
      );
    });
  }

  /**
   * Makes the name of a new file durable. When that fails the name is gone again, as far as possible: the
   * next process would find it, and a sync of the directory would succeed without it.
   */
  async syncName(name: string): Promise<void> {
    try {
      await this.syncDirectory();
    } catch (error) {
      await this.remove(name).catch(() => undefined);
      throw error;
    }
  }

  /** {@link syncDirectory} for a caller that blocks the thread. */
  syncDirectorySync(): void {
    if (this.#directoryFailure === undefined) {
      try {
        this.runSync('syncDirectory', undefined, (token) => this.native.syncDirectory(token));
      } catch (error) {
        this.#directoryFailure ??= asError(error);
      }
    }
    if (this.#directoryFailure !== undefined) throw this.#directoryFailure;
  }

  list(): string[] {
    return calling('list', undefined, () => this.native.list());
  }

  sizeOf(file: FileId): number {
    return calling('sizeOf', this.#names[file], () => this.native.sizeOf(file));
  }

  close(file: FileId): void {
    calling('close', this.#names[file], () => this.native.close(file));
  }

  /** Starts an operation and blocks the thread until it ended; completions of others run too. */
  runSync(operation: string, file: string | undefined, start: (token: number) => void): number {
    let answer: number | undefined;
    const token = this.#table.once((result) => (answer = result));
    try {
      start(token);
    } catch (error) {
      this.#table.unregister(token);
      throw misuse(error, operation, file);
    }
    while (answer === undefined) this.channel.wait();
    if (answer < 0) throw errnoError(answer, { operation, file });
    return answer;
  }

  /** Hands over what was started, and on a simulated set sees to it that the results come. */
  kick(): void {
    if (!this.simulated) return this.native.submit();
    if (this.#kicked) return;
    this.#kicked = true;
    // After the microtasks, as a device's results come: code between `place` and `whenRoom` counts
    // on nothing completing in between.
    process.nextTick(() => this.#runSimulated());
  }

  /** Resolves a turn later, or at once when nothing is in flight: `while (inFlight) await idle()`. */
  async idle(): Promise<void> {
    if (this.native.inFlight === 0) return;
    this.kick();
    // Behind the kick of a simulated set, which a promise alone would keep from its turn for ever.
    await new Promise<void>((resolve) => {
      if (this.simulated) process.nextTick(resolve);
      else setImmediate(resolve);
    });
  }

  /** Waits for what is in flight, then closes files, lock and backend. May be called again. */
  dispose(): Promise<void> {
    this.#disposing ??= new Promise((resolve) => {
      if (this.simulated) {
        this.native.submit();
        while (this.native.inFlight > 0 && this.channel.wait()) continue;
        this.channel.pump();
      }
      this.native.dispose(resolve);
    });
    return this.#disposing;
  }

  /**
   * Memory for reads and writes.
   *
   * @param bytes a positive multiple of a page.
   * @throws CairnError CAIRN_NO_SPACE when there is no memory.
   */
  allocate(bytes: number): Uint8Array<ArrayBuffer> {
    return new Uint8Array(calling('allocate', undefined, () => this.native.allocate(bytes)));
  }

  #runSimulated(): void {
    this.#kicked = false;
    if (this.#disposing !== undefined) return;
    this.native.submit();
    this.channel.pump();
    if (this.native.inFlight > 0) this.kick();
  }

  #reserve(length: number): AlignedBytes {
    // An odd length goes to allocate, which refuses it.
    if (length > SLAB_READ_BYTES_MAX || length <= 0 || length % PAGE_BYTES !== 0) {
      return this.allocate(length);
    }
    if (this.#slab === undefined || this.#slabUsed + length > this.#slab.byteLength) {
      const bytes = this.#slab === undefined ? FIRST_SLAB_BYTES : 2 * this.#slab.byteLength;
      this.#slab = this.allocate(Math.min(Math.max(bytes, length), SLAB_BYTES)).buffer;
      this.#slabUsed = 0;
    }
    const bytes = new Uint8Array(this.#slab, this.#slabUsed, length);
    this.#slabUsed += length;
    return bytes;
  }

  #run(
    operation: string,
    file: string | undefined,
    offset: number | undefined,
    start: (token: number) => void,
  ): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#start(operation, file, offset, start, (result, error) => {
        if (error === undefined) resolve(result);
        else reject(error);
      });
    });
  }

  #start(
    operation: string,
    file: string | undefined,
    offset: number | undefined,
    start: (token: number) => void,
    done: (result: number, error: Error | undefined) => void,
  ): void {
    const token = this.#table.once((result) => {
      done(result, result < 0 ? errnoError(result, { operation, file, offset }) : undefined);
    });
    try {
      start(token);
    } catch (error) {
      this.#table.unregister(token);
      done(-1, misuse(error, operation, file));
      return;
    }
    if (this.simulated) this.kick();
  }
}

type Opened = { readonly io: NativeIo } | { readonly io: null; readonly status: NativeStatus };

function openNative(path: string, options: OpenDirectoryOptions): Promise<Opened> {
  return new Promise((resolve, reject) => {
    const { NativeIo } = addon();
    calling('open', path, () =>
      NativeIo.openDirectory(path, options, (status, io) => {
        if (io !== null) resolve({ io });
        else if (status !== null) resolve({ io: null, status });
        else reject(new CairnError('CAIRN_IO', `open ${path}: no answer`, { operation: 'open' }));
      }),
    );
  });
}

/** Turns what a native call throws into a CairnError. */
export function calling<T>(operation: string, file: string | undefined, call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw misuse(error, operation, file);
  }
}

/** Native code throws Errors with a code of ours, or with a status; the rest is a TypeError. */
function misuse(error: unknown, operation: string, file: string | undefined): Error {
  if (!(error instanceof Error)) return new Error(String(error));
  if (error instanceof CairnError) return error;
  if ('status' in error) return statusError(error.status as NativeStatus);
  if (!('code' in error)) return error;
  return new CairnError(error.code as ErrorCode, `${operation}: ${error.message}`, {
    operation,
    file,
    cause: error,
  });
}

let warned = false;

/** Once: what the host forbids it forbids to each store. */
function warnOfThreads({ operation, errno }: NativeStatus): void {
  if (warned) return;
  warned = true;
  const reason = `${operation}: ${getSystemErrorName(-errno)}`;
  process.emitWarning(`io_uring is not available (${reason}); using threads instead`, {
    type: 'CairnWarning',
    code: 'CAIRN_IOURING_UNAVAILABLE',
  });
}
