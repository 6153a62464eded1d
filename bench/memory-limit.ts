import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * A control group with a memory limit; the page cache counts, so a file larger than it is larger than
 * memory for the process in it. Needs root.
 */
export class MemoryLimit {
  readonly #path: string;

  private constructor(path: string) {
    this.#path = path;
  }

  /** @returns null where this process may not make one. */
  static create(name: string, bytes: number): MemoryLimit | null {
    for (const { root, file } of hierarchies()) {
      const path = join(root, `cairn-bench-${process.pid}-${name}`);
      try {
        mkdirSync(path);
        try {
          writeFileSync(join(path, file), String(bytes));
          return new MemoryLimit(path);
        } catch {
          rmdirSync(path);
        }
      } catch {
        // The next hierarchy may allow it.
      }
    }
    return null;
  }

  add(pid: number): void {
    writeFileSync(join(this.#path, 'cgroup.procs'), String(pid));
  }

  /** Once its processes have ended. */
  remove(): void {
    try {
      rmdirSync(this.#path);
    } catch {
      // An empty group costs nothing; the host removes it at its next start.
    }
  }
}

/** Where this process's own groups are: version 1 has a memory controller, version 2 one tree. */
function hierarchies(): readonly { readonly root: string; readonly file: string }[] {
  const found = [];
  for (const line of readFileSync('/proc/self/cgroup', 'utf8').split('\n')) {
    const [, controllers, path] = line.split(':');
    if (controllers === undefined || path === undefined) continue;
    if (controllers.split(',').includes('memory')) {
      found.push({ root: join('/sys/fs/cgroup/memory', path), file: 'memory.limit_in_bytes' });
    } else if (controllers === '') {
      found.push({ root: join('/sys/fs/cgroup', path), file: 'memory.max' });
    }
  }
  return found;
}
