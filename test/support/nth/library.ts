import { execFileSync } from 'node:child_process';
import { constants } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export type CallKind =
  | 'read'
  | 'write'
  | 'sync'
  | 'syncDirectory'
  | 'grow'
  | 'truncate'
  | 'open'
  | 'rename'
  | 'map'
  | 'allocate'
  | 'new'
  | 'thread'
  | 'setup'
  | 'register'
  | 'submit';

/** The n-th call of a kind. */
export interface CallFault {
  readonly kind: CallKind;
  /** @default 'error' */
  readonly effect?: 'error' | 'torn' | 'short';
  /** @default 'EIO' */
  readonly errno?: keyof typeof constants.errno;
  readonly nth: number;
  /** All later ones as well. */
  readonly sticky: boolean;
}

export interface Hits {
  readonly calls: number;
  readonly hitCount: number;
  /** The first 64: kind, file, and `durable` for a write with RWF_DSYNC. */
  readonly hits: readonly string[];
}

interface Library {
  arm(kind: string, effect: string, errno: number, nth: number, sticky: boolean): void;
  disarm(): Hits;
  trapRing(): number;
}

/** Makes calls of the addon fail, in a process that has the library loaded before libc. */
export class Faults {
  readonly #library: Library;

  /** After the addon was loaded. @param path of the library. */
  constructor(path: string) {
    const module = { exports: {} };
    process.dlopen(module, path);
    this.#library = module.exports as Library;
  }

  /** From now on calls of io_uring as well. @returns 0 or -errno: see ring.c. */
  trapRing(): number {
    return this.#library.trapRing();
  }

  arm({ kind, effect = 'error', errno = 'EIO', nth, sticky }: CallFault): void {
    this.#library.arm(kind, effect, constants.errno[errno], nth, sticky);
  }

  disarm(): Hits {
    return this.#library.disarm();
  }
}

/** @returns the library, in `folder`. */
export function buildLibrary(folder: string): string {
  const library = join(folder, 'faults.node');
  const script = fileURLToPath(new URL('../../../scripts/node-include.mjs', import.meta.url));
  const include = execFileSync(process.execPath, [script], { encoding: 'utf8' }).trim();
  const sources = ['calls.c', 'ring.c'].map((name) =>
    fileURLToPath(new URL(name, import.meta.url)),
  );
  // An operator new that fails throws, through a function of C.
  const flags = ['-shared', '-fPIC', '-O1', '-Wall', '-Wextra', '-Werror', '-fexceptions'];
  execFileSync('cc', [...flags, `-I${include}`, '-o', library, ...sources, '-ldl']);
  return library;
}
