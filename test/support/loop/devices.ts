import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';

export const FILE_SYSTEMS = ['ext4', 'xfs'] as const;
export type FileSystemKind = (typeof FILE_SYSTEMS)[number];

/** All of them, or the one that a runner's `--fs` names. @throws RangeError */
export function fileSystemsOf(name: string | undefined): FileSystemKind[] {
  const kinds = FILE_SYSTEMS.filter((kind) => name === undefined || name === kind);
  if (kinds.length === 0) throw new RangeError(`--fs is one of ${FILE_SYSTEMS.join(', ')}`);
  return kinds;
}

/** mkfs.xfs asks for 300 MiB. */
export const IMAGE_BYTES = 384 * 1024 * 1024;
/** Program and arguments, for an image that follows. */
export const MAKE: Readonly<Record<FileSystemKind, readonly string[]>> = {
  ext4: ['mkfs.ext4', '-q', '-F'],
  xfs: ['mkfs.xfs', '-q', '-f'],
};
/** As the kernel has it; a loop device keeps what it was given by an earlier user. */
const REQUEST_BYTES = 1280 * 1024;
const UNMOUNT_TRIES = 100;
const UNMOUNT_PAUSE_MS = 50;

/** @throws Error with what the program complained about. */
export function run(program: string, args: readonly string[]): void {
  const { status, stderr, error } = spawnSync(program, args, { encoding: 'utf8' });
  if (status === 0) return;
  throw new Error(`${program} ${args.join(' ')}: ${error?.message ?? stderr}`);
}

export function mountImage(image: string, path: string, options = 'loop'): void {
  run('mount', ['-o', options, image, path]);
}

/** What a killed process had in flight holds a mount for a moment. */
export function unmount(path: string): void {
  for (let tried = 1; ; tried++) {
    try {
      return run('umount', [path]);
    } catch (error) {
      if (tried === UNMOUNT_TRIES) throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, UNMOUNT_PAUSE_MS);
    }
  }
}

/** What is mounted now. */
export const present = new Set<{ abandon(): void }>();

/**
 * Removes what is still mounted when the process ends, also by a signal. A loop device goes by
 * itself with the last user of its mount.
 */
export function removeAllAtEnd(): void {
  const removeAll = (): void => {
    for (const device of present) device.abandon();
  };
  process.on('exit', removeAll);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => process.exit(1));
  }
}

/** What a {@link LoopDevice} is made with. */
export interface LoopOptions {
  readonly kind: FileSystemKind;
  /** For its image and its mount point. */
  readonly directory: string;
  readonly imageBytes?: number;
  /** For mkfs. */
  readonly make?: readonly string[];
  /** For mount, beside `loop`. */
  readonly mount?: readonly string[];
  /** The image lies on a tmpfs of its own, of so many bytes. */
  readonly thinBytes?: number;
  /**
   * The largest request to the device. The kernel's loop driver takes a write that its file system cut
   * short for done: only one of a single page is wholly there or fails.
   */
  readonly requestBytes?: number;
}

/** A file system in a file. For root. */
export class LoopDevice {
  readonly #place: string;
  readonly #options: string;
  readonly #thin: boolean;
  readonly #requestBytes: number;
  readonly image: string;
  /** Where it is mounted. */
  readonly path: string;
  readonly #mounts = new Set<string>();

  constructor(options: LoopOptions) {
    const { kind, directory, thinBytes } = options;
    this.#place = mkdtempSync(join(directory, `cairn-loop-${kind}-`));
    this.#options = ['loop', ...(options.mount ?? [])].join(',');
    this.#thin = thinBytes !== undefined;
    this.#requestBytes = options.requestBytes ?? REQUEST_BYTES;
    const backing = join(this.#place, 'backing');
    this.image = join(backing, 'image');
    this.path = join(this.#place, 'mounted');
    present.add(this);
    try {
      mkdirSync(backing);
      mkdirSync(this.path);
      if (thinBytes !== undefined) {
        run('mount', ['-t', 'tmpfs', '-o', `size=${thinBytes}`, 'cairn-thin', backing]);
        this.#mounts.add(backing);
      }
      writeFileSync(this.image, '');
      truncateSync(this.image, options.imageBytes ?? IMAGE_BYTES);
      const [program = '', ...args] = MAKE[kind];
      run(program, [...args, ...(options.make ?? []), this.image]);
      this.mount();
    } catch (error) {
      this.abandon();
      throw error;
    }
  }

  mount(): void {
    mountImage(this.image, this.path, this.#options);
    this.#mounts.add(this.path);
    const found = spawnSync('findmnt', ['-n', '-o', 'SOURCE', this.path], { encoding: 'utf8' });
    const queue = join('/sys/block', basename(found.stdout.trim()), 'queue', 'max_sectors_kb');
    writeFileSync(queue, String(this.#requestBytes / 1024));
  }

  unmount(): void {
    unmount(this.path);
    this.#mounts.delete(this.path);
  }

  /** The tmpfs of a thin one has so many bytes from here on: not fewer than it holds. */
  resizeThin(bytes: number): void {
    if (!this.#thin) throw new Error('the device is not thin');
    run('mount', ['-o', `remount,size=${bytes}`, join(this.#place, 'backing')]);
  }

  remove(): void {
    if (this.#mounts.has(this.path)) this.unmount();
    for (const path of this.#mounts) unmount(path);
    this.#mounts.clear();
    this.abandon();
  }

  /** As {@link remove}, whoever uses it; does not throw. */
  abandon(): void {
    present.delete(this);
    for (const path of [...this.#mounts].reverse()) spawnSync('umount', ['--lazy', path]);
    rmSync(this.#place, { recursive: true, force: true });
  }
}

/** What keeps this machine from having one; undefined: nothing. */
export function whyNoLoopDevice(kind: FileSystemKind): string | undefined {
  if (process.getuid?.() !== 0) return 'only root may mount a file system';
  try {
    new LoopDevice({ kind, directory: '/var/tmp' }).remove();
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}
