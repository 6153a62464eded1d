import type { Readable } from 'node:stream';
import { BYTE_ENCODINGS, VALUE_ENCODINGS, type KeyCodec } from '../../../ts/cli/encoding.js';
import type { ImportSource } from '../../../ts/cli/import-source.js';
import { CsvSource, type CsvMapping } from '../../../ts/cli/source-csv.js';
import { NdjsonSource, type NdjsonMapping } from '../../../ts/cli/source-ndjson.js';
import { Choices, type FuzzTarget } from './fuzz-target.js';
import {
  assertNamesLine,
  assertObjectValues,
  assertSliceAsParsed,
  sameHoweverCut,
  type Outcome,
} from './import-properties.js';

/** What the choices of an input name, in this order: seeds write their places. */
const KEY_CODECS: readonly KeyCodec[] = [
  ...BYTE_ENCODINGS.map((encoding) => ({ type: 'bytes' as const, encoding })),
  { type: 'u64', encoding: 'utf8' },
];
const KEY_FIELDS = ['key', 'id', '__proto__'] as const;
const VALUE_FIELDS = ['value', undefined, 'a"b'] as const;
const KEY_COLUMNS = ['k', undefined] as const;
const VALUE_COLUMNS = ['v', undefined] as const;
const DELIMITERS = [',', '\t', ';'] as const;
/** Each costs a search through the line. */
const SLICES_MAX = 8;
/** Each piece costs some turns of the event loop; the last one is the rest of the file. */
const CUTS_MAX = 64;

/** Where a file is cut into pieces of so many bytes; 0: of one, two, three, ... */
function cutsOf(length: number, piece: number): number[] {
  const cuts: number[] = [];
  for (let at = 0, step = 1; at < length && cuts.length < CUTS_MAX; step++) {
    cuts.push(at);
    at += piece === 0 ? step : piece;
  }
  return cuts;
}

function isObject(text: string): boolean {
  try {
    const parsed: unknown = JSON.parse(text);
    return typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed);
  } catch {
    return false;
  }
}

/** What is left of an input after its mapping: where the file is cut, and the file. */
async function imported(
  choices: Choices,
  make: (stream: Readable) => ImportSource,
): Promise<{ readonly file: Buffer; readonly outcome: Outcome }> {
  const piece = choices.byte();
  const file = choices.rest();
  return { file, outcome: await sameHoweverCut(file, cutsOf(file.length, piece), make) };
}

function seedOf(choices: readonly number[], text: string): Buffer {
  return Buffer.concat([Buffer.from(choices), Buffer.from(text, 'utf8')]);
}

const importNdjson: FuzzTarget = {
  name: 'import_ndjson',
  words: [
    ...['"key":', '"id":', '"value":', '"__proto__":', '"a\\"b":', '"key_encoding":'],
    ...['"value_encoding":', '"utf8"', '"hex"', '"base64"', '\\u0022', '\\ud800', '\\\\', '\\"'],
    ...[
      '{}',
      '[]',
      '[[]]',
      '{"a":[]}',
      '["\\""]',
      '[{"}":1}]',
      '{"',
      '":',
      '",',
      '"}',
      'null',
      'true',
      '18446744073709551615',
      '1e3',
      '-0',
    ],
    ...['\r\n', '\ufeff', '\u00a0', '\u2028', '{"key":"a","value":"b"}\n'],
  ],
  async run(input) {
    const choices = new Choices(input);
    const mapping: NdjsonMapping = {
      codec: choices.pick(KEY_CODECS),
      valueEncoding: choices.pick(VALUE_ENCODINGS),
      keyField: choices.pick(KEY_FIELDS),
      valueField: choices.pick(VALUE_FIELDS),
    };
    const { file, outcome } = await imported(choices, (it) => new NdjsonSource(it, mapping));
    assertNamesLine(outcome);
    if (mapping.valueField === undefined) assertObjectValues(outcome);
    for (const line of file.toString('utf8').split('\n').filter(isObject)) {
      const names = Object.keys(JSON.parse(line) as object).slice(0, SLICES_MAX);
      assertSliceAsParsed(line, [...names, mapping.keyField, mapping.valueField ?? '']);
    }
  },
  seeds() {
    const seed = (choices: readonly number[], ...lines: readonly string[]): Buffer =>
      seedOf(choices, lines.join('\n'));
    const surrogate = '{"key":"\\ud83d\\ude00","value":"\\ud83d"}';
    return [
      seed([0, 0, 0, 0, 1], '{"key":"a","value":"b"}', '{"value":"c","key":"d"}', ''),
      seed([0, 3, 0, 0, 7], '{"key":"a","value":{"x":[1,2,{"y":null}],"z":"}"}}', '', ' \t'),
      seed([0, 3, 0, 0, 0], '{ "key" : "a" , "value" : 12345678901234567890 }\r'),
      seed([0, 0, 0, 1, 3], '\ufeff{"key":"whole","more":[true,false],"key_encoding":"utf8"}'),
      seed([0, 2, 0, 0, 9], '{"key":"AQ==","key_encoding":"base64","value":"AQID"}'),
      seed([1, 1, 0, 0, 5], '{"key":"00ff","value":"0102"}', '{"key":"0","value":""}'),
      seed([2, 0, 1, 0, 2], '{"id":"AQ","value":"ff","value_encoding":"hex"}'),
      seed([3, 0, 1, 0, 1], '{"id":18446744073709551615,"value":""}', '{"id":"0x1f","value":"a"}'),
      seed([3, 3, 0, 0, 4], '{"key":1e3,"value":1}'),
      seed([0, 0, 2, 2, 6], '{"__proto__":"k","a\\"b":"v"}', '{"__proto__":{"key":"k"}}'),
      seed([0, 3, 0, 0, 8], '{"\\u006bey":"a","value":"\\u0022\\\\","value":[ "b" ] }'),
      seed([0, 0, 0, 0, 10], surrogate, '{"key":"","value":""}'),
      seed([0, 0, 0, 0, 11], '[]', '{"key":"a"}'),
      seed([0, 3, 0, 0, 12], '{"key":"a","value":-0.5e+10,"":{"":""}}', '{"key":"a","value":"a'),
    ];
  },
};

const importCsv: FuzzTarget = {
  name: 'import_csv',
  words: [
    ...['k,v\n', 'k;v\n', 'k\tv\n', 'k', 'v', ',', ';', '\t', '"', '""', '"a ""b"""', '"\n"'],
    ...['\r\n', '\n\n', '\ufeff', '0x1f', '18446744073709551615', 'AQ==', 'ff', '{}', '[1]'],
  ],
  async run(input) {
    const choices = new Choices(input);
    const mapping: CsvMapping = {
      codec: choices.pick(KEY_CODECS),
      valueEncoding: choices.pick(VALUE_ENCODINGS),
      keyColumn: choices.pick(KEY_COLUMNS),
      valueColumn: choices.pick(VALUE_COLUMNS),
      delimiter: choices.pick(DELIMITERS),
    };
    const { outcome } = await imported(choices, (it) => new CsvSource(it, mapping));
    if (mapping.valueColumn === undefined) assertObjectValues(outcome);
  },
  seeds() {
    return [
      seedOf([0, 0, 0, 0, 0, 1], 'k,v\na,b\nc,d\n'),
      seedOf([0, 0, 0, 0, 0, 3], '\ufeffk,v,2\r\na,b,c\r\n\r\nd,e,f'),
      seedOf([0, 0, 0, 1, 0, 0], 'k,2,1\na,"b ""c""","\n"\n'),
      seedOf([0, 3, 0, 0, 0, 5], 'k,v\na,"[1,{""b"":2}]"\nb,no\n'),
      seedOf([1, 1, 0, 0, 0, 2], 'v,k\n0102,00ff\n,0\n'),
      seedOf([2, 2, 1, 0, 1, 4], 'first\tv\nAQ==\tAQID\n'),
      seedOf([3, 0, 0, 0, 2, 1], 'k;v\n18446744073709551615;a\n0x1f;b\n18446744073709551616;c\n'),
      seedOf([0, 0, 1, 1, 2, 6], 'a;b;a\n1;2;3\n'),
      seedOf([0, 0, 0, 0, 0, 7], 'key,value\na,b\n'),
      seedOf([0, 0, 0, 0, 0, 8], 'k,v\na,b,c\n'),
      seedOf([0, 0, 0, 0, 0, 9], 'k,v\na,"b\n'),
      seedOf([0, 0, 0, 0, 0, 2], 'k,v\n"a"b,c\n'),
      seedOf([0, 0, 1, 1, 0, 11], '"","k"\n"",\n'),
    ];
  },
};

export const IMPORT_TARGETS = [importNdjson, importCsv] as const;
