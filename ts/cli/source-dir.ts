import type { Dirent } from 'node:fs';
import { constants } from 'node:fs';
import { open, readdir } from 'node:fs/promises';
import { isUtf8 } from 'node:buffer';
import { type KeyCodec, parseU64 } from './encoding.js';
import type { ImportSource, LoadedEntry, Position, SourceEntry } from './import-source.js';
import { CliError, hasCode } from './errors.js';
import type { Lease } from './window.js';

const SLASH = Buffer.from('/');
const SLASH_CODE = 0x2f;
const VALUE_BYTES_MAX = 64 * 1024 * 1024;

/**
 * A directory tree: the key is the path below the root, the value the bytes of the file. Paths are
 * bytes throughout; nothing requires a file name to be UTF-8.
 */
export class DirectorySource implements ImportSource {
  readonly unit = 'entries';
  readonly skipped = { symlinks: 0, specials: 0, vanished: 0 };

  constructor(
    private readonly root: string,
    private readonly codec: KeyCodec,
  ) {}

  async total(signal: AbortSignal): Promise<number> {
    let files = 0;
    for await (const { kind } of walk(this.root)) {
      signal.throwIfAborted();
      if (kind === 'file') files++;
    }
    return files;
  }

  async *entries(from: Position, signal: AbortSignal): AsyncIterable<SourceEntry> {
    const after = from.path === undefined ? undefined : Buffer.from(from.path, 'base64');
    let entries = from.entries;
    for await (const { path, kind } of walk(this.root, after)) {
      signal.throwIfAborted();
      if (kind !== 'file') {
        this.skipped[kind]++;
        continue;
      }
      entries++;
      yield {
        bytes: 0,
        position: { entries, path: path.toString('base64') },
        done: entries,
        load: (lease) => this.#load(path, lease),
      };
    }
  }

  async #load(path: Buffer, lease: Lease): Promise<LoadedEntry | undefined> {
    const name = isUtf8(path) ? path.toString('utf8') : path.toString('latin1');
    const key = this.codec.type === 'u64' ? parseU64(name) : path;
    // Not followed and not waited for: what was a file in the listing may be a link or a pipe by now.
    const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
    let file;
    try {
      file = await open(join(this.root, path), flags);
    } catch (error) {
      if (hasCode(error, 'ENOENT')) this.skipped.vanished++;
      else if (hasCode(error, 'ELOOP')) this.skipped.symlinks++;
      else throw error;
      return undefined;
    }
    try {
      const { size } = await file.stat();
      if (size > VALUE_BYTES_MAX)
        throw new CliError(
          'CLI_BAD_INPUT',
          `${name}: ${size} bytes are more than a value holds (64 MiB)`,
        );
      await lease.grow(size);
      return { key, value: await file.readFile(), name };
    } finally {
      await file.close();
    }
  }
}

interface Found {
  /** Below the root. */
  readonly path: Buffer;
  readonly kind: 'file' | 'symlinks' | 'specials';
}

/**
 * Everything but directories, depth first, the names of each directory in byte order. Holds the
 * names of the directories on the way down.
 *
 * @param after leaves out this path and what comes before it, without reading the directories there.
 */
export async function* walk(root: string, after?: Buffer): AsyncGenerator<Found> {
  const stack: {
    readonly prefix: Buffer;
    readonly children: readonly Dirent<Buffer>[];
    next: number;
  }[] = [{ prefix: Buffer.alloc(0), children: await list(Buffer.from(root)), next: 0 }];
  for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
    const child = top.children[top.next++];
    if (child === undefined) {
      stack.pop();
      continue;
    }
    const path =
      top.prefix.length === 0 ? child.name : Buffer.concat([top.prefix, SLASH, child.name]);
    if (child.isDirectory()) {
      if (after !== undefined && comparePaths(path, after) < 0 && !isBelow(after, path)) continue;
      stack.push({ prefix: path, children: await list(join(root, path)), next: 0 });
    } else if (after === undefined || comparePaths(path, after) > 0) {
      yield {
        path,
        kind: child.isFile() ? 'file' : child.isSymbolicLink() ? 'symlinks' : 'specials',
      };
    }
  }
}

/** The order of {@link walk}: name by name, so `a/z` comes before `a-b`. */
export function comparePaths(a: Buffer, b: Buffer): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const x = a[i] ?? 0;
    const y = b[i] ?? 0;
    // A slash ends a name, and a name comes before every longer one that begins with it.
    if (x !== y) return (x === SLASH_CODE ? 0 : x) - (y === SLASH_CODE ? 0 : y);
  }
  return a.length - b.length;
}

function isBelow(path: Buffer, directory: Buffer): boolean {
  return (
    path.length > directory.length &&
    path[directory.length] === SLASH_CODE &&
    path.subarray(0, directory.length).equals(directory)
  );
}

async function list(directory: Buffer): Promise<Dirent<Buffer>[]> {
  const children = await readdir(directory, { withFileTypes: true, encoding: 'buffer' });
  return (children as unknown as Dirent<Buffer>[]).sort((a, b) => Buffer.compare(a.name, b.name));
}

function join(root: string, path: Buffer): Buffer {
  return Buffer.concat([Buffer.from(root), SLASH, path]);
}
