import { readdirSync, readFileSync, realpathSync, statfsSync, statSync } from 'node:fs';
import { availableParallelism, release, totalmem } from 'node:os';
import { dirname, join } from 'node:path';

/** What the host says about itself, without measuring anything. */
export interface HostFacts {
  readonly kernel: string;
  readonly architecture: string;
  readonly node: string;
  readonly libc: string;
  readonly cpus: number;
  readonly memoryBytes: number;
  /** null: none. */
  readonly cgroupMemoryBytes: number | null;
  /** null: unlimited or unknown. */
  readonly memlockBytes: number | null;
  /** kernel.io_uring_disabled: 0 allowed, 1 for privileged processes, 2 for nobody; null: no such setting. */
  readonly ioUringDisabled: number | null;
  readonly fileSystem: FileSystemFacts;
  readonly device: DeviceFacts | null;
}

export interface FileSystemFacts {
  readonly type: string;
  readonly mountPoint: string;
  readonly source: string;
  readonly options: readonly string[];
  readonly freeBytes: number;
}

export interface DeviceFacts {
  readonly name: string;
  readonly model: string | null;
  /** `write back`: volatile, a sync flushes it. `write through`: what is written is durable. */
  readonly writeCache: string | null;
  /** A durable write is one command (FUA), and not a write and a flush; null: unknown. */
  readonly fua: boolean | null;
  readonly rotational: boolean | null;
  readonly scheduler: string | null;
  /** Hardware queues. */
  readonly queues: number | null;
}

export interface Mount {
  readonly device: string;
  readonly mountPoint: string;
  readonly options: readonly string[];
  readonly type: string;
  readonly source: string;
}

export function readHostFacts(directory: string): HostFacts {
  const path = realpathSync(directory);
  const mounts = parseMounts(read('/proc/self/mountinfo') ?? '');
  const mount = mountOf(path, mounts);
  const space = statfsSync(path);
  return {
    kernel: release(),
    architecture: process.arch,
    node: process.version,
    libc: libcVersion(),
    cpus: availableParallelism(),
    memoryBytes: totalmem(),
    cgroupMemoryBytes: cgroupMemoryLimit(mounts, read('/proc/self/cgroup') ?? ''),
    memlockBytes: parseLimit(read('/proc/self/limits') ?? '', 'Max locked memory'),
    ioUringDisabled: toNumber(read('/proc/sys/kernel/io_uring_disabled')),
    fileSystem: {
      type: mount?.type ?? 'unknown',
      mountPoint: mount?.mountPoint ?? '?',
      source: mount?.source ?? '?',
      options: mount?.options ?? [],
      freeBytes: space.bavail * space.bsize,
    },
    device: mount === undefined ? null : deviceOf(mount),
  };
}

/** proc(5), "/proc/pid/mountinfo": fields are separated by spaces, spaces in them are octal escapes. */
export function parseMounts(text: string): Mount[] {
  const mounts: Mount[] = [];
  for (const line of text.split('\n')) {
    const [before, after] = line.split(' - ');
    const left = before?.split(' ') ?? [];
    const right = after?.split(' ') ?? [];
    const [, , device, , mountPoint, mountOptions] = left;
    const [type, source, superOptions] = right;
    if (device === undefined || mountPoint === undefined || type === undefined) continue;
    mounts.push({
      device,
      mountPoint: unescapeOctal(mountPoint),
      options: [
        ...new Set(
          `${mountOptions ?? ''},${superOptions ?? ''}`
            .split(',')
            .filter((option) => option !== ''),
        ),
      ],
      type,
      source: unescapeOctal(source ?? ''),
    });
  }
  return mounts;
}

/** The longest mount point above the path; the last of equal ones, since it covers the others. */
export function mountOf(path: string, mounts: readonly Mount[]): Mount | undefined {
  let best: Mount | undefined;
  for (const mount of mounts) {
    const root = mount.mountPoint === '/' ? '/' : `${mount.mountPoint}/`;
    if (!`${path}/`.startsWith(root)) continue;
    if (best === undefined || mount.mountPoint.length >= best.mountPoint.length) best = mount;
  }
  return best;
}

/** The soft limit in bytes; null when it is unlimited or not there. */
export function parseLimit(text: string, name: string): number | null {
  const line = text.split('\n').find((candidate) => candidate.startsWith(name));
  return toNumber(line?.slice(name.length).trim().split(/\s+/)[0]);
}

/**
 * The tightest limit on the way from the process's group up to the root, in v2 (memory.max) or v1.
 * Inside a container the group's path is often not visible: then the mount's root counts.
 */
export function cgroupMemoryLimit(mounts: readonly Mount[], cgroups: string): number | null {
  let limit: number | null = null;
  for (const line of cgroups.split('\n')) {
    const [, controllers, ...rest] = line.split(':');
    const group = rest.join(':');
    const second = controllers === '';
    if (!second && controllers?.split(',').includes('memory') !== true) continue;
    const mount = mounts.find((candidate) =>
      second
        ? candidate.type === 'cgroup2'
        : candidate.type === 'cgroup' && candidate.options.includes('memory'),
    );
    if (mount === undefined) continue;
    for (let path = group; ; path = dirname(path)) {
      const value = toNumber(
        read(join(mount.mountPoint, path, second ? 'memory.max' : 'memory.limit_in_bytes')),
      );
      // v1 writes "no limit" as the largest multiple of a page.
      if (value !== null && value < 2 ** 62 && (limit === null || value < limit)) limit = value;
      if (path === '/' || path === '.' || path === '') break;
    }
  }
  return limit;
}

function deviceOf(mount: Mount): DeviceFacts | null {
  const number = mount.device.startsWith('0:') ? deviceNumber(mount.source) : mount.device;
  if (number === null) return null;
  let folder: string;
  try {
    folder = realpathSync(`/sys/dev/block/${number}`);
  } catch {
    return null;
  }
  // A partition has no queue of its own: its disk is one folder up.
  if (read(join(folder, 'partition')) !== null) folder = dirname(folder);
  const queue = (file: string): string | null => read(join(folder, 'queue', file));
  const flag = (file: string): boolean | null => {
    const text = queue(file);
    return text === null ? null : text === '1';
  };
  return {
    name: folder.slice(folder.lastIndexOf('/') + 1),
    model: read(join(folder, 'device', 'model')),
    writeCache: queue('write_cache'),
    fua: flag('fua'),
    rotational: flag('rotational'),
    scheduler: /\[(.+)\]/.exec(queue('scheduler') ?? '')?.[1] ?? queue('scheduler'),
    queues: countEntries(join(folder, 'mq')),
  };
}

/** btrfs and others show an anonymous device number; the source still names the disk. */
function deviceNumber(source: string): string | null {
  if (!source.startsWith('/dev/')) return null;
  const { rdev } = statSync(source, { throwIfNoEntry: false }) ?? { rdev: 0 };
  if (rdev === 0) return null;
  // makedev(3): 12 bits of major in the middle, 8 + 12 bits of minor around it.
  return `${(rdev >>> 8) & 0xfff}:${(rdev & 0xff) | ((rdev >>> 12) & 0xfff00)}`;
}

function libcVersion(): string {
  const report = process.report as typeof process.report & { excludeNetwork?: boolean };
  report.excludeNetwork = true; // resolving the peers of open sockets can take seconds
  const { header } = report.getReport() as unknown as { header?: { glibcVersionRuntime?: string } };
  return header?.glibcVersionRuntime === undefined
    ? 'musl or other'
    : `glibc ${header.glibcVersionRuntime}`;
}

function read(path: string): string | null {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return null; // another kernel, or hidden by a container
  }
}

function countEntries(path: string): number | null {
  try {
    return readdirSync(path).length;
  } catch {
    return null;
  }
}

function toNumber(text: string | null | undefined): number | null {
  if (text === null || text === undefined || !/^[0-9]+$/.test(text)) return null;
  return Number(text);
}

function unescapeOctal(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_match, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  );
}
