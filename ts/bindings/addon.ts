import type { NativeSlotFileConstructor } from './slot-file.js';
import { CairnError } from '../common/errors.js';
import type { NativeHashTableConstructor } from './hash-table.js';
import { loadAddonFile } from './load.cjs';
import type { LogAddon } from './log.js';
import type { NativeMemorySlotsConstructor } from './memory-slots.js';
import type { NativeStatus } from './status.js';

/** What an I/O backend guarantees (IoCapabilities of native/io/io_backend.h). */
export interface IoCapabilities {
  readonly name: string;
  readonly alignmentBytes: number;
  /** Longer requests are split inside the backend. */
  readonly largestIoBytes: number;
  readonly direct: boolean;
  /** A synchronous write needs no separate sync. */
  readonly durableWrite: boolean;
  /** Features that this host refused, by name. */
  readonly degraded: readonly string[];
}

export interface OpenDirectoryOptions {
  readonly backend: 'IOURING' | 'POSIX';
  /** Transfers handed to the kernel at once, 1 to 4096. */
  readonly queueDepth: number;
  /** Prepared submissions that are handed over together. */
  readonly flushEvery: number;
  /** Microseconds that the end of a turn waits for completions without sleeping; of IOURING. */
  readonly busyPollUs: number;
  /** Threads for calls without an asynchronous form; with POSIX for all I/O. */
  readonly threads: number;
  readonly readOnly: boolean;
  /** Makes the directory and its parents when absent. */
  readonly create: boolean;
  readonly lockTimeoutMs: number;
}

/** 0 existing only, 1 new only, 2 either. */
export type OpenMode = 0 | 1 | 2;

/**
 * One file set: its files, backend, lock and wake-up (native/binding/native_io.h). Operations take
 * a token and answer with the pair (token, result); a negative result is -errno. Misuse throws an
 * Error with a `code` of CairnError.
 */
export interface NativeIo {
  readonly capabilities: IoCapabilities;
  /** Pairs token, result. */
  readonly results: Float64Array;
  readonly inFlight: number;
  /** Called once per wake-up with the number of pairs in `results`. */
  onDrain(callback: (count: number) => void): void;
  /** Result: the file. */
  open(name: string, mode: OpenMode, token: number): void;
  close(file: number): void;
  sizeOf(file: number): number;
  list(): string[];
  /** Multiples of a page throughout; `buffer` is one of allocate(). */
  read(
    file: number,
    offset: number,
    buffer: ArrayBuffer,
    byteOffset: number,
    length: number,
    token: number,
  ): void;
  write(
    file: number,
    offset: number,
    buffer: ArrayBuffer,
    byteOffset: number,
    length: number,
    sync: boolean,
    token: number,
  ): void;
  sync(file: number, token: number): void;
  grow(file: number, size: number, token: number): void;
  truncate(file: number, size: number, token: number): void;
  punch(file: number, offset: number, length: number, token: number): void;
  rename(from: string, to: string, token: number): void;
  remove(name: string, token: number): void;
  syncDirectory(token: number): void;
  /** Page aligned and zeroed; a positive multiple of a page. */
  allocate(bytes: number): ArrayBuffer;
  submit(): void;
  /** Runs what is ready. @returns pairs now in `results`; 0 when none are left. */
  drain(): number;
  /** As drain, but blocks until something completed when something is in flight. */
  wait(): number;
  /** Waits for what is in flight, then gives everything back. */
  dispose(done: () => void): void;
}

export interface NativeIoConstructor {
  readonly pageBytes: number;
  openDirectory(
    path: string,
    options: OpenDirectoryOptions,
    done: (status: NativeStatus | null, io: NativeIo | null) => void,
  ): void;
  simulate(disk: SimDisk): NativeIo;
  /** A simulated disk of its own that records nothing. */
  memory(): NativeIo;
}

export interface SimDiskOptions {
  readonly seed?: number;
  /** 0: without a limit. */
  readonly capacityBytes?: number;
  /** Keep what crash states are made from. */
  readonly record?: boolean;
  /** Run completions in a seeded order. */
  readonly reorder?: boolean;
}

/** What of the things that a power cut may lose is kept (CrashChoice of native/io/sim_crash.h). */
export interface CrashChoice {
  /** `all` and `kill` keep what completed, as the end of a process does. */
  readonly kind: 'all' | 'none' | 'mask' | 'prefix' | 'dropOne' | 'keepOne' | 'random' | 'kill';
  /** prefix, dropOne, keepOne. */
  readonly n?: number;
  /** Bit i keeps unit i. */
  readonly mask?: number;
  /** random, kill. */
  readonly seed?: number;
  /** How finely writes tear. @default 512 */
  readonly sectorBytes?: 512 | 4096;
}

export interface SimFault {
  readonly operation:
    | 'open'
    | 'read'
    | 'write'
    | 'grow'
    | 'truncate'
    | 'punch'
    | 'rename'
    | 'remove'
    | 'sync'
    | 'syncDirectory';
  /** The n-th from now on. @default 1 */
  readonly nth?: number;
  /** Every later one as well. */
  readonly sticky?: boolean;
  /** @default 'EIO' */
  readonly errno?: 'EIO' | 'ENOSPC' | 'EMFILE' | 'EACCES' | 'EROFS' | 'EDQUOT' | 'EFBIG' | 'ENOMEM';
  /** `torn` moves some sectors and fails, `lost` and `misplaced` report success. @default 'error' */
  readonly effect?: 'error' | 'torn' | 'lost' | 'misplaced';
}

/** A disk with a live and a durable image, for tests (native/io/sim_disk.h). */
export interface SimDisk {
  readonly eventCount: number;
  freeBits(point: number, sectorBytes?: number): number;
  /** @param record @default true */
  crash(point: number, choice: CrashChoice, record?: boolean): SimDisk;
  /** A disk that begins with what is there now. @param record @default true */
  restart(record?: boolean): SimDisk;
  inject(fault: SimFault): void;
  clearFaults(): void;
  stopAt(event: number): void;
  setCapacity(bytes: number): void;
  /** Equal for disks made with equal names and bytes; of the bytes only those in `places`. */
  imageHash(places?: Uint32Array): string;
  /** File and page, one after the other, of what was read before it was written. */
  placesRead(): Uint32Array;
  /** These count as read now: by what went on with a restart. */
  addPlacesRead(places: Uint32Array): void;
  fileNames(): string[];
  readFile(name: string): Uint8Array | undefined;
  writeFile(name: string, bytes: Uint8Array): void;
  removeFile(name: string): boolean;
  flipBit(name: string, offset: number, bit: number): boolean;
  zeroSector(name: string, offset: number): boolean;
  swapSectors(name: string, left: number, right: number): boolean;
  operations(): string;
  hazards(): string[];
  release(): void;
}

/** Everything that cairn.node exports; nothing else sees the file. */
export interface NativeAddon extends LogAddon {
  /** JavaScript may see memory of the addon. */
  externalBuffers(): boolean;
  /** StatusCode of native/base/status.h, by name. */
  readonly statusCodes: Readonly<Record<string, number>>;
  readonly NativeIo: NativeIoConstructor;
  readonly SimDisk: new (options?: SimDiskOptions) => SimDisk;
  readonly NativeHashTable: NativeHashTableConstructor;
  readonly NativeMemorySlots: NativeMemorySlotsConstructor;
  readonly NativeSlotFile: NativeSlotFileConstructor;
  /**
   * Checks the records that begin where `marks` has a bit set, one for each 64 bytes of the window,
   * and goes on with one that began in an earlier window.
   *
   * @param state six numbers, 0 at first: offset of the record that goes on, its bytes still to come,
   *   its crc so far and as it should be, records that checked, records that did not.
   * @returns offsets written to `damaged`.
   */
  scanRecords(
    storeId: Uint8Array,
    window: Uint8Array,
    offset: number,
    marks: Uint32Array,
    state: Float64Array,
    damaged: Float64Array,
  ): number;
  /** Writes the first page of a values file. */
  encodeValuesHeader(storeId: Uint8Array, page: Uint8Array, classTable: number): void;
  /** @returns the number of its class table; -1 blank, -2 damaged, -3 of another version. */
  decodeValuesHeader(storeId: Uint8Array, page: Uint8Array): number;
  /** Writes the first page of an index file to `bytes`, from `at` on. native/index/index_page.h. */
  encodeIndexHeader(storeId: Uint8Array, bytes: Uint8Array, at: number): void;
  /** @returns 0; 1 damaged, 2 of another version. */
  checkIndexHeader(storeId: Uint8Array, bytes: Uint8Array, at: number): number;
  /** Fills in what the header of a bucket's page has beside depth, count and prefix. */
  sealIndexPage(
    storeId: Uint8Array,
    bytes: Uint8Array,
    at: number,
    page: number,
    writeNumber: number,
  ): void;
  /** @returns 0 when it is that page as it was sealed; 1 damaged, 2 of another version. */
  checkIndexPage(
    storeId: Uint8Array,
    bytes: Uint8Array,
    at: number,
    page: number,
    writeNumber: number,
    prefix: number,
    depth: number,
  ): number;
}

/**
 * The index and the buffers of the device are memory that the addon and JavaScript share.
 *
 * @throws CairnError CAIRN_UNSUPPORTED.
 */
export function refuseWithoutExternalBuffers(native: Pick<NativeAddon, 'externalBuffers'>): void {
  if (native.externalBuffers()) return;
  throw new CairnError(
    'CAIRN_UNSUPPORTED',
    'this runtime refuses external ArrayBuffers, which cairn shares with its addon (Electron does ' +
      'since version 21): open the store in a process of plain Node.js',
    { operation: 'load' },
  );
}

let loaded: NativeAddon | undefined;

/**
 * The addon, loaded by the first call.
 *
 * @throws CairnError CAIRN_ADDON_MISSING: what is missing, and how to get it.
 */
export function addon(): NativeAddon {
  if (loaded === undefined) {
    const { exports, problem, cause } = loadAddonFile();
    if (problem !== undefined) {
      throw new CairnError('CAIRN_ADDON_MISSING', problem, { operation: 'load', cause });
    }
    const native = exports as NativeAddon;
    refuseWithoutExternalBuffers(native);
    loaded = native;
  }
  return loaded;
}
