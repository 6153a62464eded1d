import type { SeededRandom } from '../crash/random.js';

type Span = readonly [begin: number, end: number];

/** Strings, numbers and names, lists and objects, whole lines; of text that may be damaged. */
function spansOf(text: string): Span[] {
  const spans: Span[] = [];
  const open: number[] = [];
  for (const { 0: token, index } of text.matchAll(/"(?:\\.|[^"\\])*"|[\w.+-]+|[[\]{}]/gs)) {
    if (token === '[' || token === '{') open.push(index);
    else if (token !== ']' && token !== '}') spans.push([index, index + token.length]);
    else {
      const begin = open.pop();
      if (begin !== undefined) spans.push([begin, index + 1]);
    }
  }
  for (const { 0: line, index } of text.matchAll(/[^\n]+/g)) {
    spans.push([index, index + line.length]);
  }
  return spans;
}

/** A value another one, nested, or twice; or another column in every row. */
function changeText(random: SeededRandom, text: string, words: readonly string[]): string {
  const spans = spansOf(text);
  if (spans.length === 0) return text + random.pick(words);
  const [begin, end] = random.pick(spans);
  const part = text.slice(begin, end);
  const put = (piece: string): string => text.slice(0, begin) + piece + text.slice(end);
  const separator = random.pick([',', ';', '\t', ':', '\n']);
  const word = Buffer.from(random.pick(words), 'utf8').toString('latin1');
  switch (random.below(8)) {
    case 0:
      return put(text.slice(...random.pick(spans)));
    case 1:
      return put(`[${part}]`);
    case 2:
      return put(`{"${random.pick(['a', '', 'key', '\\"'])}":${part}}`);
    case 3:
      return put(`${part}${separator}${part}`);
    case 4:
      return put(word);
    case 5:
      return put(`${part}${separator}${word}`);
    case 6:
      return put('');
    default:
      return text.replace(/[^\n]+/g, (row, at: number) => `${row}${separator}${at % 10}`);
  }
}

/** A few bytes other ones, the end cut off, or a part repeated or gone. */
function changeBytes(random: SeededRandom, bytes: Buffer): Buffer {
  const at = random.below(bytes.length + 1);
  const end = Math.min(bytes.length, at + 1 + random.below(32));
  switch (random.below(5)) {
    case 0:
      return bytes.subarray(0, at);
    case 1:
      return Buffer.concat([bytes.subarray(0, end), bytes.subarray(at)]);
    case 2:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(end)]);
    default: {
      const changed = Buffer.from(bytes);
      for (let left = random.below(3); left >= 0 && changed.length > 0; left--) {
        const place = random.below(changed.length);
        // Choices of an input are small numbers, and text is in the lower half.
        changed[place] = random.chance(0.5)
          ? random.below(128)
          : changed.readUInt8(place) ^ (1 << random.below(8));
      }
      return changed;
    }
  }
}

/** One to three changes, of text more often than of bytes. */
export function changeInput(random: SeededRandom, input: Buffer, words: readonly string[]): Buffer {
  let changed = input;
  for (let left = random.below(3); left >= 0; left--) {
    changed = random.chance(0.7)
      ? Buffer.from(changeText(random, changed.toString('latin1'), words), 'latin1')
      : changeBytes(random, changed);
  }
  return changed;
}
