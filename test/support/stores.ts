import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { open, type Store, type StoreConfig } from '../../ts/index.js';

/** Every combination of this version, for suites that all of them pass. */
export const COMBINATIONS: readonly { readonly name: string; readonly config: StoreConfig }[] = (
  ['IOURING', 'POSIX'] as const
).flatMap((io) =>
  (['SSD_VALUE_STORE', 'DRAM_VALUE_STORE'] as const).flatMap((value) =>
    (['bytes', 'u64'] as const).map((key) => ({
      name: `${value} on ${io} with ${key} keys`,
      config: { key: { type: key }, value: { type: value }, io: { type: io } },
    })),
  ),
);

/** A directory that is removed after the test. */
export async function withDirectory<T>(use: (path: string) => Promise<T>): Promise<T> {
  const path = await mkdtemp(join(tmpdir(), 'cairn-test-'));
  try {
    return await use(path);
  } finally {
    await rm(path, { recursive: true, force: true });
  }
}

/** A store in a directory of its own, closed and removed after the test. */
export function withStore<T>(
  config: StoreConfig,
  use: (store: Store, path: string) => Promise<T>,
): Promise<T> {
  return withDirectory(async (directory) => {
    const path = join(directory, 'store');
    const store = await open(path, config);
    try {
      return await use(store, path);
    } finally {
      await store.close();
    }
  });
}

/** Deterministic bytes that differ by seed: a value that came back is the one that was written. */
export function bytesOf(seed: number, length: number): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  let state = (seed * 2654435761 + 12345) >>> 0;
  for (let at = 0; at < length; at++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[at] = state >>> 24;
  }
  return bytes;
}
