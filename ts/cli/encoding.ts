import { isUtf8 } from 'node:buffer';
import type { StoredKey } from '../index.js';
import { CliError, usageError } from './errors.js';

/** Keys and values are bytes; this is how they are written as text. */
export const BYTE_ENCODINGS = ['utf8', 'hex', 'base64'] as const;
export type ByteEncoding = (typeof BYTE_ENCODINGS)[number];
export const VALUE_ENCODINGS = [...BYTE_ENCODINGS, 'json'] as const;
export type ValueEncoding = (typeof VALUE_ENCODINGS)[number];
export const KEY_TYPES = ['bytes', 'u64'] as const;
export type KeyType = (typeof KEY_TYPES)[number];

/** How the command at hand writes keys. */
export interface KeyCodec {
  readonly type: KeyType;
  readonly encoding: ByteEncoding;
}

const LONE_SURROGATE = /\p{Surrogate}/u;
const U64_MAX = 2n ** 64n - 1n;

export function isByteEncoding(name: unknown): name is ByteEncoding {
  return BYTE_ENCODINGS.some((encoding) => encoding === name);
}

/** @throws CliError CLI_BAD_INPUT when `text` is not of the encoding: nothing is ever cut short. */
export function decodeBytes(text: string, encoding: ByteEncoding): Buffer {
  switch (encoding) {
    case 'utf8':
      // JSON can write half of a surrogate pair; all of them would become the same U+FFFD.
      if (LONE_SURROGATE.test(text)) throw notOf(text, 'well-formed Unicode');
      return Buffer.from(text, 'utf8');
    case 'hex':
      if (text.length % 2 !== 0 || !/^[0-9a-fA-F]*$/.test(text))
        throw notOf(text, 'an even number of hex digits');
      return Buffer.from(text, 'hex');
    case 'base64':
      if (!/^[A-Za-z0-9+/_-]*={0,2}$/.test(text) || text.replace(/=+$/, '').length % 4 === 1) {
        throw notOf(text, 'base64');
      }
      return Buffer.from(text, 'base64');
  }
}

/** @returns undefined when the bytes are no valid UTF-8 and `encoding` is `utf8`. */
export function encodeBytes(bytes: Uint8Array, encoding: ByteEncoding): string | undefined {
  if (encoding === 'utf8' && !isUtf8(bytes)) return undefined;
  return bytesOf(bytes).toString(encoding);
}

function bytesOf(view: Uint8Array): Buffer {
  return Buffer.from(view.buffer, view.byteOffset, view.byteLength);
}

/** A u64 is decimal, or hexadecimal with 0x. */
export function parseU64(text: string): bigint {
  if (!/^(0x[0-9a-fA-F]{1,16}|[0-9]{1,20})$/.test(text))
    throw notOf(text, 'an integer of 0 to 2^64 - 1');
  const value = BigInt(text);
  if (value > U64_MAX) throw notOf(text, 'an integer of 0 to 2^64 - 1');
  return value;
}

export function parseKey(text: string, codec: KeyCodec): Buffer | bigint {
  return codec.type === 'u64' ? parseU64(text) : decodeBytes(text, codec.encoding);
}

/** The key as text, and the encoding that was used: base64 where `utf8` cannot hold it. */
export function formatKey(
  key: StoredKey,
  codec: KeyCodec,
): { readonly text: string; readonly encoding?: ByteEncoding } {
  if (typeof key === 'bigint') return { text: key.toString() };
  const bytes = typeof key === 'string' ? Buffer.from(key, 'utf8') : key;
  const text = encodeBytes(bytes, codec.encoding);
  return text === undefined ? { text: bytes.toString('base64'), encoding: 'base64' } : { text };
}

/** A value given as an argument, a line of CSV, or a field of an object. */
export function parseValue(text: string, encoding: ValueEncoding): Buffer {
  if (encoding !== 'json') return decodeBytes(text, encoding);
  try {
    JSON.parse(text);
  } catch (cause) {
    throw new CliError('CLI_BAD_INPUT', `value is not JSON: ${shorten(text)}`, { cause });
  }
  return Buffer.from(text, 'utf8');
}

/**
 * An entry as one line of JSON. `key_encoding` and `value_encoding` stand where the text is base64
 * instead of what was asked for, so that every entry comes back byte for byte.
 */
export function entryLine(
  key: StoredKey,
  value: Uint8Array | undefined,
  codec: KeyCodec,
  encoding: ValueEncoding,
): string {
  const keyText = formatKey(key, codec);
  const fields = [`"key":${JSON.stringify(keyText.text)}`];
  if (keyText.encoding !== undefined) fields.push(`"key_encoding":"${keyText.encoding}"`);
  if (value !== undefined) {
    const text = encodeBytes(value, encoding === 'json' ? 'utf8' : encoding);
    if (encoding === 'json' && text !== undefined && isOneLineJson(text))
      fields.push(`"value":${text}`);
    else if (encoding !== 'json' && text !== undefined)
      fields.push(`"value":${JSON.stringify(text)}`);
    else fields.push(`"value":"${bytesOf(value).toString('base64')}"`, '"value_encoding":"base64"');
  }
  return `{${fields.join(',')}}`;
}

export function shorten(text: string, length = 60): string {
  const quoted = JSON.stringify(text.length > length ? text.slice(0, length) : text);
  return text.length > length ? `${quoted}...` : quoted;
}

/** --key-encoding says nothing about integers: refusing it beats reading `10` as sixteen. */
export function keyCodec(type: KeyType, encoding: ByteEncoding | undefined): KeyCodec {
  if (type === 'u64' && encoding !== undefined && encoding !== 'utf8') {
    throw usageError(
      `--key-encoding ${encoding} does not go with u64 keys`,
      'Write u64 keys as decimal or 0x... integers.',
    );
  }
  return { type, encoding: encoding ?? 'utf8' };
}

/** Such a text can be put into a line as it is: its numbers keep all their digits. */
function isOneLineJson(text: string): boolean {
  if (text !== text.trim() || /[\r\n]/.test(text)) return false;
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function notOf(text: string, what: string): CliError {
  return new CliError('CLI_BAD_INPUT', `${shorten(text)} is not ${what}`);
}
