import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';

// The files of a store in one compressed file: a line of JSON with names and sizes, then their bytes.
// Most of a small store is zeros, which take next to nothing.

interface Entry {
  readonly name: string;
  readonly size: number;
}

/** Packs the files of a directory; the lock is not part of a store. */
export async function packStore(directory: string, archive: string): Promise<void> {
  const names = (await readdir(directory)).filter((name) => name !== 'LOCK').sort();
  const files = await Promise.all(names.map((name) => readFile(join(directory, name))));
  const entries: Entry[] = names.map((name, at) => ({ name, size: files[at]?.length ?? 0 }));
  const packed = Buffer.concat([Buffer.from(`${JSON.stringify(entries)}\n`), ...files]);
  await writeFile(archive, gzipSync(packed, { level: 9 }));
}

/** Makes `directory` and unpacks a store into it. */
export async function unpackStore(archive: string, directory: string): Promise<void> {
  const packed = gunzipSync(await readFile(archive));
  const begin = packed.indexOf('\n') + 1;
  const entries = JSON.parse(packed.toString('utf8', 0, begin)) as Entry[];
  await mkdir(directory, { mode: 0o700 });
  let at = begin;
  for (const { name, size } of entries) {
    await writeFile(join(directory, name), packed.subarray(at, at + size));
    at += size;
  }
}
