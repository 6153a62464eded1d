import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import {
  IMAGE_BYTES,
  MAKE,
  mountImage,
  present,
  run,
  unmount,
  type FileSystemKind,
} from '../loop/devices.js';

const SOURCE = fileURLToPath(new URL('./logged-disk.c', import.meta.url));
const PROGRAM = resolve('build', 'block', 'logged-disk');
const START_MS_MAX = 5000;
/** Or ext4 goes on making its tables beside the store. */
const MAKE_MORE: Readonly<Record<FileSystemKind, readonly string[]>> = {
  ext4: ['-E', 'lazy_itable_init=0,lazy_journal_init=0'],
  xfs: [],
};
/** Of the number of entries in the log's first sector. */
const COUNT_OFFSET = 16;

/** Compiles the program that logs. @throws Error where libfuse 3 or a compiler is missing. */
export function buildLoggedDisk(): void {
  mkdirSync(resolve('build', 'block'), { recursive: true });
  const flags = ['-O1', '-Wall', '-D_FILE_OFFSET_BITS=64', '-I/usr/include/fuse3'];
  run('cc', [...flags, '-o', PROGRAM, SOURCE, '-lfuse3']);
}

/**
 * A file system on a device that logs each write and each flush: a loop device over a file that a
 * process serves through FUSE. For root.
 */
export class LoggedDisk {
  readonly #place: string;
  readonly #served: string;
  /** The device before the first entry of its log. */
  readonly fresh: string;
  readonly log: string;
  /** Where the file system is mounted. */
  readonly path: string;
  #program: ChildProcess | undefined;
  #logFile: number | undefined;
  #mounted = false;

  /** @param directory for image and log; memory is fastest. */
  private constructor(directory: string) {
    this.#place = mkdtempSync(join(directory, 'cairn-block-'));
    present.add(this);
    const made = (name: string): string => {
      mkdirSync(join(this.#place, name));
      return join(this.#place, name);
    };
    this.#served = made('served');
    this.path = made('mounted');
    this.fresh = join(this.#place, 'fresh');
    this.log = join(this.#place, 'log');
  }

  static async create(kind: FileSystemKind, directory: string): Promise<LoggedDisk> {
    const disk = new LoggedDisk(directory);
    try {
      await disk.#start(kind);
      return disk;
    } catch (error) {
      disk.abandon();
      throw error;
    }
  }

  async #start(kind: FileSystemKind): Promise<void> {
    writeFileSync(this.fresh, '');
    truncateSync(this.fresh, IMAGE_BYTES);
    const [program = '', ...args] = MAKE[kind];
    run(program, [...args, ...MAKE_MORE[kind], this.fresh]);
    const image = join(this.#place, 'image');
    run('cp', ['--sparse=always', this.fresh, image]);
    this.#program = spawn(PROGRAM, [image, this.log, this.#served], { stdio: 'inherit' });
    const disk = join(this.#served, 'disk');
    for (let waited = 0; !existsSync(disk); waited += 20) {
      if (waited > START_MS_MAX) throw new Error('the device did not appear: is there /dev/fuse?');
      await sleep(20);
    }
    this.#logFile = openSync(this.log, 'r');
    mountImage(disk, this.path);
    this.#mounted = true;
  }

  /** Entries of the log so far: what has been acknowledged by now is in these. */
  count(): number {
    const bytes = Buffer.alloc(8);
    readSync(this.#logFile as number, bytes, 0, 8, COUNT_OFFSET);
    return Number(bytes.readBigUInt64LE());
  }

  /** Ends the device; the log stays. */
  end(): void {
    if (this.#mounted) unmount(this.path);
    this.#mounted = false;
    if (this.#logFile !== undefined) closeSync(this.#logFile);
    this.#logFile = undefined;
    spawnSync('umount', [this.#served]);
    this.#program = undefined;
  }

  /** Whoever uses it; does not throw. */
  abandon(): void {
    present.delete(this);
    for (const path of [this.path, this.#served]) spawnSync('umount', ['--lazy', path]);
    this.#program?.kill();
    rmSync(this.#place, { recursive: true, force: true });
  }
}
