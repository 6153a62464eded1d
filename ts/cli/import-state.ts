import { open, readFile, rename, rm, stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { START, type Position } from './import-source.js';

/**
 * How far an import is durable, beside the store and not in it: `<store>.import.json`. It is only
 * ever behind the store: written after a flush() of everything before it. Doing an entry twice is
 * harmless, leaving one out is not, so every doubt means starting from the top.
 */
export interface ImportState {
  readonly version: 1;
  readonly identity: ImportIdentity;
  readonly position: Position;
  /** Keys in the store then. Fewer now: something was deleted, or it is another store. */
  readonly storeSize: number;
}

/** What must be the same for a position to mean the same. */
export interface ImportIdentity {
  /** Inode and birth of the store's directory. */
  readonly store: string;
  readonly source: string;
  /** Size and time of change of a source file; empty for directories, whose order is by path. */
  readonly sourceVersion: string;
  /** Format and mapping. */
  readonly options: string;
}

export function statePath(store: string): string {
  return `${resolve(store)}.import.json`;
}

export async function identify(
  store: string,
  source: string,
  options: unknown,
): Promise<ImportIdentity> {
  const directory = await stat(store);
  const isStream = source === '-';
  const file = isStream ? undefined : await stat(source);
  return {
    store: `${directory.dev}:${directory.ino}:${directory.birthtimeMs}`,
    source: isStream ? '-' : resolve(source),
    sourceVersion: file === undefined || file.isDirectory() ? '' : `${file.size}:${file.mtimeMs}`,
    options: JSON.stringify(options),
  };
}

/** @returns where to go on, and whether there was a state that no longer fits. */
export async function loadPosition(
  path: string,
  identity: ImportIdentity,
  storeSize: number,
): Promise<{ readonly position: Position; readonly stale: boolean }> {
  const state = await read(path);
  if (state === undefined) return { position: START, stale: false };
  const fits =
    state.version === 1 &&
    JSON.stringify(state.identity) === JSON.stringify(identity) &&
    Number.isSafeInteger(state.position?.entries) &&
    storeSize >= state.storeSize;
  return fits ? { position: state.position, stale: false } : { position: START, stale: true };
}

/** Whole or not at all: a state that is half written must not be believed. */
export async function saveState(path: string, state: ImportState): Promise<void> {
  const temporary = `${path}.tmp`;
  const file = await open(temporary, 'w', 0o600);
  try {
    await file.writeFile(`${JSON.stringify(state)}\n`);
    await file.datasync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
}

export async function removeState(path: string): Promise<void> {
  await rm(path, { force: true });
  await rm(`${path}.tmp`, { force: true });
}

async function read(path: string): Promise<ImportState | undefined> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as ImportState;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    // Unreadable or no JSON: the same as a state that does not fit.
    return {
      version: 1,
      identity: { store: '', source: '', sourceVersion: '', options: '' },
      position: START,
      storeSize: 0,
    };
  }
}
