import { isUtf8 } from 'node:buffer';
import { constants } from 'node:fs';
import { lstat, mkdir, open, readdir } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { StoredKey } from '../index.js';
import type { Context } from './context.js';
import { CliError, hasCode } from './errors.js';
import type { ExportResult } from './export.js';
import { escapeLine } from './format.js';
import type { Session } from './session.js';
import { Window } from './window.js';

const FILES_IN_FLIGHT_MAX = 32;
const BYTES_IN_FLIGHT_MAX = 64 * 1024 * 1024;
/** How many checked directories are remembered; after that they are checked again. */
const DIRECTORIES_MAX = 100_000;
const SLASH = 0x2f;

/** A file per entry, the key being its path below the target. */
export async function exportTree(
  context: Context,
  { store }: Session,
  target: string,
  overwrite: boolean,
): Promise<ExportResult> {
  const tree = new Tree(resolve(target), overwrite);
  await tree.prepare();
  const result: ExportResult = { entries: 0, bytes: 0, refused: 0 };
  const window = new Window(FILES_IN_FLIGHT_MAX, BYTES_IN_FLIGHT_MAX);
  const refuse = (path: Buffer, reason: string): void => {
    result.refused++;
    const shown = isUtf8(path) ? path.toString('utf8') : path.toString('latin1');
    context.output.note(`refused: ${escapeLine(shown)}: ${reason}`);
  };
  const progress = context.progress({ label: 'export', unit: 'entries', total: store.size });
  try {
    for await (const [key, value] of store.entries({ signal: context.signal })) {
      const path = pathOf(key);
      const reason = whyNoPath(path);
      if (reason !== undefined) {
        refuse(path, reason);
        continue;
      }
      await window.start(value.length, async () => {
        const conflict = await tree.write(path, value);
        if (conflict !== undefined) return refuse(path, conflict);
        result.entries++;
        result.bytes += value.length;
      });
      progress.update(result.entries);
    }
    await window.settled();
    window.throwIfFailed();
  } finally {
    await window.settled();
    progress.stop();
  }
  return result;
}

function pathOf(key: StoredKey): Buffer {
  if (typeof key === 'bigint') return Buffer.from(key.toString());
  return typeof key === 'string' ? Buffer.from(key, 'utf8') : key;
}

/** @returns why this key must not be used as a path; undefined when it may. */
export function whyNoPath(key: Buffer): string | undefined {
  if (key.length === 0) return 'it is empty';
  if (key.includes(0)) return 'it holds a zero byte';
  if (key[0] === SLASH) return 'it is an absolute path';
  for (const name of splitPath(key)) {
    if (name.length === 0) return 'it has an empty part';
    if (name.equals(DOT) || name.equals(DOT_DOT)) return 'it has a part . or ..';
    if (name.length > 255) return 'it has a part of more than 255 bytes';
  }
  return key.length > 4000 ? 'it is too long for a path' : undefined;
}

const CONFLICT =
  'a file, a directory or a link is in its way; --format ndjson takes keys such as "a" and "a/b"';
/** What open(2) says then. */
const TAKEN = ['EISDIR', 'EEXIST', 'ELOOP'];
const DOT = Buffer.from('.');
const DOT_DOT = Buffer.from('..');

function* splitPath(path: Buffer): Generator<Buffer> {
  let from = 0;
  for (let at = path.indexOf(SLASH); at !== -1; at = path.indexOf(SLASH, from)) {
    yield path.subarray(from, at);
    from = at + 1;
  }
  yield path.subarray(from);
}

class Tree {
  readonly #root: Buffer;
  /** Directories that were made or looked at: no links among them. */
  readonly #known = new Set<string>();

  constructor(
    root: string,
    private readonly overwrite: boolean,
  ) {
    this.#root = Buffer.from(root);
  }

  async prepare(): Promise<void> {
    await mkdir(this.#root, { recursive: true, mode: 0o700 });
    if (this.overwrite || (await readdir(this.#root)).length === 0) return;
    throw new CliError('CLI_REFUSED', `${this.#root.toString()} is not empty`, {
      hint: 'Choose an empty directory, or pass --overwrite.',
    });
  }

  /** @returns why it was not written: something else has its place. */
  async write(path: Buffer, value: Buffer): Promise<string | undefined> {
    const slash = path.lastIndexOf(SLASH);
    if (slash !== -1 && !(await this.#makeDirectories(path.subarray(0, slash)))) return CONFLICT;
    // A link in the last place is not followed either; without --overwrite nothing is replaced.
    const flags =
      constants.O_WRONLY |
      constants.O_CREAT |
      constants.O_NOFOLLOW |
      (this.overwrite ? constants.O_TRUNC : constants.O_EXCL);
    const file = await open(this.#below(path), flags, 0o600).catch((error: unknown) => {
      if (TAKEN.some((code) => hasCode(error, code))) return undefined;
      throw error;
    });
    if (file === undefined) return CONFLICT;
    try {
      await file.writeFile(value);
    } finally {
      await file.close();
    }
    return undefined;
  }

  /** Part by part, so that a link that leads out of the target is seen: false. */
  async #makeDirectories(path: Buffer): Promise<boolean> {
    if (this.#known.has(path.toString('latin1'))) return true;
    for (let end = nextSlash(path, 0); ; end = nextSlash(path, end + 1)) {
      const directory = this.#below(path.subarray(0, end));
      try {
        await mkdir(directory, { mode: 0o700 });
      } catch (error) {
        if (!hasCode(error, 'EEXIST')) throw error;
        if (!(await lstat(directory)).isDirectory()) return false;
      }
      if (end === path.length) break;
    }
    if (this.#known.size >= DIRECTORIES_MAX) this.#known.clear();
    this.#known.add(path.toString('latin1'));
    return true;
  }

  #below(path: Buffer): Buffer {
    return Buffer.concat([this.#root, Buffer.from([SLASH]), path]);
  }
}

function nextSlash(path: Buffer, from: number): number {
  const at = path.indexOf(SLASH, from);
  return at === -1 ? path.length : at;
}
