import { readFileSync } from 'node:fs';
import { totalmem } from 'node:os';

/** What defaults depend on, beside the document. */
export interface Machine {
  /** What this process may use: the memory of the machine, or a lower limit of its cgroups. */
  readonly memoryBytes: number;
}

/** The text of a file, or undefined when it cannot be read. */
export type ReadText = (path: string) => string | undefined;

function readTextFile(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    // Not there in other cgroup versions, unreadable in some sandboxes: no limit is known then.
    return undefined;
  }
}

function parseLimit(text: string | undefined): number {
  const trimmed = text?.trim() ?? '';
  // Version 2 writes "max" for none, version 1 a number near 2^63.
  if (!/^\d+$/.test(trimmed)) return Infinity;
  const limit = Number(trimmed);
  return limit > 0 ? limit : Infinity;
}

/** The path itself and its ancestors: '/a/b' gives '/a/b', '/a' and ''. */
function withAncestors(path: string): string[] {
  const parts = path.split('/').filter((part) => part !== '' && part !== '..');
  return Array.from({ length: parts.length + 1 }, (_, dropped) =>
    parts
      .slice(0, parts.length - dropped)
      .map((part) => `/${part}`)
      .join(''),
  );
}

/**
 * The lowest memory limit of the cgroups this process is in, Infinity without one.
 *
 * Source: cgroups(7) "/proc/pid/cgroup"; kernel documentation cgroup-v2 "memory.max", cgroup-v1
 * "memory.limit_in_bytes". In a container the listed path may lie outside the mount: the mount's
 * root is then the container's own group, which is the last ancestor tried.
 */
export function cgroupMemoryLimit(readText: ReadText = readTextFile): number {
  let lowest = Infinity;
  for (const line of (readText('/proc/self/cgroup') ?? '0::/').split('\n')) {
    const [id, controllers, ...rest] = line.split(':');
    const path = rest.join(':');
    const unified = id === '0' && controllers === '';
    if (!unified && !(controllers ?? '').split(',').includes('memory')) continue;
    for (const group of withAncestors(path)) {
      const file = unified
        ? `/sys/fs/cgroup${group}/memory.max`
        : `/sys/fs/cgroup/memory${group}/memory.limit_in_bytes`;
      lowest = Math.min(lowest, parseLimit(readText(file)));
    }
  }
  return lowest;
}

export function readMachine(readText: ReadText = readTextFile): Machine {
  return { memoryBytes: Math.min(totalmem(), cgroupMemoryLimit(readText)) };
}
