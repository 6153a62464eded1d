import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  BYTE_ENCODINGS,
  entryLine,
  VALUE_ENCODINGS,
  type KeyCodec,
  type ValueEncoding,
} from '../../../ts/cli/encoding.js';
import { CsvSource, type CsvMapping } from '../../../ts/cli/source-csv.js';
import { NdjsonSource, parseLine, type NdjsonMapping } from '../../../ts/cli/source-ndjson.js';
import {
  assertNamesLine,
  assertSliceAsParsed,
  sameHoweverCut,
} from '../../support/fuzz/import-properties.js';

const RUNS = process.env['CAIRN_TEST_LONG'] === '1' ? 50 : 1;
const codec: fc.Arbitrary<KeyCodec> = fc.oneof(
  fc.record({ type: fc.constant('bytes' as const), encoding: fc.constantFrom(...BYTE_ENCODINGS) }),
  fc.constant({ type: 'u64' as const, encoding: 'utf8' as const }),
);
const valueEncoding = fc.constantFrom<ValueEncoding>(...VALUE_ENCODINGS);
const cuts = fc.array(fc.nat(4000), { maxLength: 6 });

/** JSON as other programs write it: spaces anywhere, and now and then a byte that does not belong. */
const spaced = fc
  .tuple(fc.jsonValue({ maxDepth: 2 }), fc.nat(3))
  .map(([value, indent]) => JSON.stringify(value, undefined, indent).replaceAll('\n', ' \t'));
const field = fc.constantFrom('key', 'value', 'id', 'key_encoding', '__proto__', 'a"b', '');
const objectText = fc
  .array(fc.tuple(field, fc.oneof(spaced, fc.constantFrom('"a"', '"AQ=="', '7', '"base64"'))), {
    maxLength: 5,
  })
  .map((fields) => `{${fields.map(([name, text]) => `${JSON.stringify(name)} : ${text}`).join()}}`);

function damaged(text: fc.Arbitrary<string>): fc.Arbitrary<Buffer> {
  const changes = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 2 });
  return fc.tuple(text, changes).map(([whole, edits]) => {
    const bytes = Buffer.from(whole, 'utf8');
    for (const [at, byte] of edits) if (bytes.length > 0) bytes[at % bytes.length] = byte;
    return bytes;
  });
}

describe('any file to import', () => {
  it('of lines gives entries or an error that names the line, however it is cut', async () => {
    const lines = fc.array(fc.oneof(objectText, fc.constantFrom('', ' \t', '\ufeff{}', '[]')), {
      maxLength: 6,
    });
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 200 }).map((array) => Buffer.from(array)),
      damaged(lines.map((each) => each.join('\n'))),
    );
    const mapping: fc.Arbitrary<NdjsonMapping> = fc.record({
      keyField: fc.constantFrom('key', 'id', '__proto__'),
      valueField: fc.constantFrom('value', undefined, 'a"b'),
      codec,
      valueEncoding,
    });
    await fc.assert(
      fc.asyncProperty(bytes, cuts, mapping, async (file, at, how) => {
        assertNamesLine(await sameHoweverCut(file, at, (stream) => new NdjsonSource(stream, how)));
      }),
      { numRuns: 500 * RUNS },
    );
  });

  it('of rows gives entries or a typed error, however it is cut', async () => {
    const cell = fc.oneof(
      fc.string({ maxLength: 6 }),
      fc.constantFrom('"a ""b"""', '"\n"', '1', '', '"', 'ff'),
    );
    const rows = fc.array(fc.array(cell, { minLength: 1, maxLength: 3 }), { maxLength: 5 });
    const text = fc
      .tuple(fc.constantFrom('k,v\n', '\ufeffk,v,2\r\n', ''), rows)
      .map(([header, each]) => header + each.map((row) => row.join()).join('\n'));
    const mapping: fc.Arbitrary<CsvMapping> = fc.record({
      keyColumn: fc.constantFrom('k', undefined),
      valueColumn: fc.constantFrom('v', undefined),
      delimiter: fc.constantFrom(',', '\t', ';'),
      codec,
      valueEncoding,
    });
    await fc.assert(
      fc.asyncProperty(damaged(text), cuts, mapping, async (file, at, how) => {
        await sameHoweverCut(file, at, (stream) => new CsvSource(stream, how));
      }),
      { numRuns: 300 * RUNS },
    );
  });

  it('takes a field as it was written wherever JSON.parse finds it', () => {
    fc.assert(
      fc.property(objectText, field, (text, name) => {
        assertSliceAsParsed(text, [name]);
      }),
      { numRuns: 1000 * RUNS },
    );
  });

  it('takes back every line that an export writes', () => {
    const bytes = fc
      .oneof(
        fc.uint8Array({ maxLength: 40 }),
        fc.json().map((text) => Buffer.from(text, 'utf8')),
      )
      .map((array) => Buffer.from(array));
    fc.assert(
      fc.property(bytes, bytes, codec, valueEncoding, (name, value, how, encoding) => {
        const key = how.type === 'u64' ? BigInt(name.length) : name;
        const line = Buffer.from(entryLine(key, value, how, encoding), 'utf8');
        const mapping = {
          keyField: 'key',
          valueField: 'value',
          codec: how,
          valueEncoding: encoding,
        };
        const entry = parseLine({ bytes: line, number: 1, next: line.length }, mapping);
        assert.deepEqual(entry.key, key);
        assert.deepEqual(entry.value, value);
      }),
      { numRuns: 1000 * RUNS },
    );
  });
});
