import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export const FILE_SYSTEMS = ['ext4', 'xfs'] as const;
export type FileSystemKind = (typeof FILE_SYSTEMS)[number];

/** mkfs.xfs asks for 300 MiB. */
const IMAGE_BYTES = 384 * 1024 * 1024;
/** Program and arguments, for an image that follows. */
export const MAKE: Readonly<Record<FileSystemKind, readonly string[]>> = {
  ext4: ['mkfs.ext4', '-q', '-F'],
  xfs: ['mkfs.xfs', '-q', '-f'],
};
/**
 * The ioctl that ends a file system at once, with 2 as its argument without writing out its log: EXT4_IOC_SHUTDOWN
 * and XFS_IOC_GOINGDOWN are one number, _IOR('X', 125, __u32). Perl is on every Debian.
 */
const CUT =
  'my $how = pack("L", 2); open(my $d, "<", $ARGV[0]) or die $!; ' +
  'ioctl($d, 0x8004587d, $how) or die $!';
const UNMOUNT_TRIES = 100;
const UNMOUNT_PAUSE_MS = 50;

function run(program: string, args: readonly string[]): void {
  const { status, stderr, error } = spawnSync(program, args, { encoding: 'utf8' });
  if (status === 0) return;
  throw new Error(`${program} ${args.join(' ')}: ${error?.message ?? stderr}`);
}

export function mountImage(image: string, path: string): void {
  run('mount', ['-o', 'loop', image, path]);
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

/** What keeps this machine from having one of its own; undefined: nothing. */
export function whyNoLoopFileSystem(kind: FileSystemKind): string | undefined {
  if (process.getuid?.() !== 0) return 'only root may mount a file system';
  try {
    new LoopFileSystem(kind, '/var/tmp').remove();
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

/**
 * A file system in a file, whose power can be cut: what it had not written to its device by then is
 * gone, what it had flushed is there. For root.
 */
export class LoopFileSystem {
  readonly #place: string;
  readonly #image: string;
  /** Where it is mounted. */
  readonly path: string;
  #mounted = false;

  /** @param directory for its image and its mount point. */
  constructor(kind: FileSystemKind, directory: string) {
    this.#place = mkdtempSync(join(directory, `cairn-power-${kind}-`));
    this.#image = join(this.#place, 'image');
    this.path = join(this.#place, 'mounted');
    try {
      mkdirSync(this.path);
      writeFileSync(this.#image, '');
      truncateSync(this.#image, IMAGE_BYTES);
      const [program = '', ...args] = MAKE[kind];
      run(program, [...args, this.#image]);
      this.#mount();
    } catch (error) {
      this.remove();
      throw error;
    }
  }

  /** From here on every operation fails with EIO. */
  cut(): void {
    run('perl', ['-e', CUT, this.path]);
  }

  /** Mounts it anew: it replays its journal, as after a restart. */
  restore(): void {
    this.#unmount();
    this.#mount();
  }

  remove(): void {
    if (this.#mounted) this.#unmount();
    rmSync(this.#place, { recursive: true, force: true });
  }

  #mount(): void {
    mountImage(this.#image, this.path);
    this.#mounted = true;
  }

  #unmount(): void {
    unmount(this.path);
    this.#mounted = false;
  }
}
