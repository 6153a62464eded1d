import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { arch, cpus, freemem, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { engineEntry, PACKAGE_ROOT } from './paths.js';
import { run } from './yardsticks/fio.js';

/** A number without these is worth nothing on another machine. */
export interface MachineFacts {
  readonly kernel: string;
  readonly cpu: string;
  readonly memory: string;
  readonly fileSystem: string;
  readonly device: string;
  readonly writeCache: string;
  readonly limits: string;
  readonly node: string;
  readonly engine: string;
  readonly tools: string;
  readonly date: string;
}

const GIB = 1024 ** 3;

function readText(path: string): string | null {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return null;
  }
}

interface Mount {
  readonly type: string;
  readonly options: string;
  readonly point: string;
}

/** The longest mount point that the path lies under; later lines of the table cover earlier ones. */
export function mountOf(table: string, path: string): Mount | null {
  let found: Mount | null = null;
  for (const line of table.split('\n')) {
    const [, point, type, options] = line.split(' ');
    if (point === undefined || type === undefined) continue;
    const below = point === '/' || path === point || path.startsWith(`${point}/`);
    if (below && point.length >= (found?.point.length ?? 0)) {
      found = { type, options: options ?? '', point };
    }
  }
  return found;
}

async function deviceOf(path: string): Promise<{ readonly name: string; readonly queue: string }> {
  // The kernel's dev_t: 12 bits of major and 20 of minor, split for history's sake.
  const { dev } = await stat(path);
  const major = (dev >> 8) & 0xfff;
  const minor = (dev & 0xff) | ((dev >> 12) & 0xfff00);
  try {
    const link = realpathSync(`/sys/dev/block/${major}:${minor}`);
    // A partition has its queue one directory up.
    const disk = existsSync(join(link, 'queue')) ? link : join(link, '..');
    return { name: link.split('/').at(-1) ?? '?', queue: join(disk, 'queue') };
  } catch {
    return { name: `${major}:${minor}`, queue: '' };
  }
}

async function version(program: string, args: readonly string[]): Promise<string> {
  try {
    return (await run(program, args)).split('\n')[0]?.trim() ?? '';
  } catch {
    return `no ${program}`;
  }
}

function packageVersion(path: string): string {
  const text = readText(path);
  if (text === null) return 'not installed';
  const { version: number } = JSON.parse(text) as { readonly version?: string };
  return number ?? '?';
}

export async function machineFacts(directory: string): Promise<MachineFacts> {
  const all = cpus();
  const mount = mountOf(readText('/proc/self/mounts') ?? '', realpathSync(directory));
  const device = await deviceOf(directory);
  const queue = (name: string): string => readText(join(device.queue, name)) ?? '?';
  const limits = readText('/proc/self/limits') ?? '';
  const locked = /Max locked memory\s+(\S+)/.exec(limits)?.[1] ?? '?';
  const modules = join(PACKAGE_ROOT, 'node_modules');
  const { kind } = engineEntry();
  return {
    kernel: `Linux ${release()} ${arch()}`,
    cpu: `${all[0]?.model.trim() ?? '?'}, ${all.length} CPUs`,
    memory: `${(totalmem() / GIB).toFixed(1)} GiB, ${(freemem() / GIB).toFixed(1)} GiB free at start`,
    fileSystem: mount === null ? '?' : `${mount.type} (${mount.options}) at ${mount.point}`,
    device: `${device.name}, scheduler ${queue('scheduler')}, rotational ${queue('rotational')}`,
    writeCache: queue('write_cache'),
    limits:
      `locked memory ${locked}, huge pages ` +
      `${/\[(\w+)\]/.exec(readText('/sys/kernel/mm/transparent_hugepage/enabled') ?? '')?.[1] ?? '?'}, ` +
      `io_uring_disabled ${readText('/proc/sys/kernel/io_uring_disabled') ?? '?'}`,
    node: process.version,
    engine:
      `cairn ${packageVersion(join(PACKAGE_ROOT, 'package.json'))} (${kind}), ` +
      `lmdb ${packageVersion(join(modules, 'lmdb/package.json'))}, ` +
      `classic-level ${packageVersion(join(modules, 'classic-level/package.json'))}`,
    tools: `${await version('fio', ['--version'])}, ${await version('g++', ['--version'])}`,
    date: new Date().toISOString(),
  };
}
