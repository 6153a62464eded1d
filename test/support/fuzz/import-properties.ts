import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { CliError } from '../../../ts/cli/errors.js';
import { START, type ImportSource, type LoadedEntry } from '../../../ts/cli/import-source.js';
import { sliceField } from '../../../ts/cli/json-slice.js';
import type { Lease } from '../../../ts/cli/window.js';

const lease = { grow: () => Promise.resolve() } as unknown as Lease;

/** What an import of these bytes puts, and the message of the error that ends it, if one does. */
export interface Outcome {
  readonly entries: readonly string[];
  readonly error: string | undefined;
}

async function importAll(source: ImportSource): Promise<Outcome> {
  const entries: string[] = [];
  try {
    for await (const entry of source.entries(START, new AbortController().signal)) {
      const { key, value } = (await entry.load(lease)) as LoadedEntry;
      assert.ok(typeof key === 'bigint' || Buffer.isBuffer(key));
      if (typeof key === 'bigint') assert.ok(key >= 0n && key < 2n ** 64n);
      assert.ok(Buffer.isBuffer(value));
      const name = typeof key === 'bigint' ? String(key) : key.toString('hex');
      entries.push(`${name}=${Buffer.from(value).toString('hex')}`);
    }
    return { entries, error: undefined };
  } catch (error) {
    if (!(error instanceof CliError)) throw error;
    assert.equal(error.code, 'CLI_BAD_INPUT');
    return { entries, error: error.message };
  }
}

/** The same bytes in one piece and cut at these places must come to the same. */
export async function sameHoweverCut(
  bytes: Buffer,
  cuts: readonly number[],
  make: (stream: Readable) => ImportSource,
): Promise<Outcome> {
  const whole = await importAll(make(Readable.from([bytes])));
  const at = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b);
  const pieces = [0, ...at].map((from, i) => bytes.subarray(from, at[i] ?? bytes.length));
  const cut = await importAll(make(Readable.from(pieces.filter((piece) => piece.length > 0))));
  assert.deepEqual(cut, whole);
  return whole;
}

/** An error of NDJSON says where it is. */
export function assertNamesLine({ error }: Outcome): void {
  if (error !== undefined) assert.match(error, /^line \d+: /);
}

/** Where the whole object or row is the value. */
export function assertObjectValues({ entries }: Outcome): void {
  for (const entry of entries) {
    const value = Buffer.from(entry.slice(entry.indexOf('=') + 1), 'hex').toString('utf8');
    assert.equal(typeof JSON.parse(value), 'object', value);
  }
}

/** @param text an object that JSON.parse accepts. */
export function assertSliceAsParsed(text: string, fields: readonly string[]): void {
  const parsed = new Map(Object.entries(JSON.parse(text) as Record<string, unknown>));
  for (const field of fields) {
    const slice = sliceField(text, field);
    assert.equal(slice !== undefined, parsed.has(field));
    if (slice !== undefined) assert.deepEqual(JSON.parse(slice), parsed.get(field));
  }
}
