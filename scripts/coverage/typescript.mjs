// Branches of TypeScript files and how often each way was gone, from what V8 counted
// (NODE_V8_COVERAGE). The ways of a branch are found in the source; V8 counts blocks of what was made
// of it, and the source map says where in there a way begins.
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import ts from 'typescript';

const BASE64 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';

/**
 * The ways of all branches: `at` is where a way begins. A way that has no code (if without else, what
 * is right of && when the left decides) is gone as often as `of` less `at`.
 */
function waysOf(source) {
  const ways = [];
  const start = (node) => node.getStart(source);
  const body = (node) => (ts.isBlock(node) ? node.statements[0] : node);
  const add = (node, what, at, of) => ways.push({ at: start(node), what, branch: at, of });
  const both = (node, right, what) => {
    add(right, `${what} taken`, start(node));
    ways.push({
      at: start(right),
      what: `${what} not taken`,
      branch: start(node),
      of: start(node),
    });
  };
  const visit = (node) => {
    if (ts.isIfStatement(node)) {
      const then = body(node.thenStatement);
      const other = node.elseStatement && body(node.elseStatement);
      if (then && other) {
        add(then, 'then', start(node));
        add(other, 'else', start(node));
      } else if (then) both(node, then, 'then');
    } else if (ts.isConditionalExpression(node)) {
      add(node.whenTrue, 'true', start(node));
      add(node.whenFalse, 'false', start(node));
    } else if (ts.isBinaryExpression(node)) {
      const operator = ts.tokenToString(node.operatorToken.kind);
      if (['&&', '||', '??', '??=', '||=', '&&='].includes(operator))
        both(node, node.right, `right of ${operator}`);
    } else if (ts.isCaseOrDefaultClause(node)) {
      if (node.statements[0]) add(body(node.statements[0]) ?? node, 'case', start(node));
    } else if (ts.isCatchClause(node)) {
      if (node.block.statements[0]) add(node.block.statements[0], 'catch', start(node));
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return ways;
}

/** Original line and column -> offset in what was made of it, ascending by original place. */
function decodeMap({ data, lineLengths }) {
  const entries = [];
  let lineOffset = 0;
  let source = 0;
  let line = 0;
  let column = 0;
  data.mappings.split(';').forEach((segments, generatedLine) => {
    let generatedColumn = 0;
    for (const segment of segments.split(',').filter(Boolean)) {
      const numbers = decodeVlq(segment);
      generatedColumn += numbers[0];
      if (numbers.length < 4) continue;
      source += numbers[1];
      line += numbers[2];
      column += numbers[3];
      if (source === 0) entries.push({ line, column, offset: lineOffset + generatedColumn });
    }
    lineOffset += (lineLengths[generatedLine] ?? 0) + 1;
  });
  return entries.sort((a, b) => a.line - b.line || a.column - b.column);
}

function decodeVlq(text) {
  const numbers = [];
  let value = 0;
  let shift = 0;
  for (const character of text) {
    const digit = BASE64.indexOf(character);
    value += (digit & 31) << shift;
    shift += 5;
    if ((digit & 32) !== 0) continue;
    numbers.push((value & 1) !== 0 ? -(value >> 1) : value >> 1);
    value = 0;
    shift = 0;
  }
  return numbers;
}

/** The first place that the map knows from there on, on the same line. */
function generatedAt(entries, line, column) {
  let low = 0;
  let high = entries.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const entry = entries[middle];
    if (entry.line < line || (entry.line === line && entry.column < column)) low = middle + 1;
    else high = middle;
  }
  const found = entries[low];
  return found !== undefined && found.line === line ? found.offset : undefined;
}

/** How often the block at that offset ran: the innermost range says. */
function countAt(ranges, offset) {
  let best;
  for (const range of ranges) {
    if (range.startOffset > offset || range.endOffset <= offset) continue;
    const size = range.endOffset - range.startOffset;
    if (best === undefined || size <= best.size) best = { size, count: range.count };
  }
  return best?.count ?? 0;
}

function addCounts(script, map, source, ways) {
  const entries = decodeMap(map);
  const ranges = script.functions.flatMap((each) => each.ranges);
  const count = (position) => {
    const { line, character } = source.getLineAndCharacterOfPosition(position);
    const offset = generatedAt(entries, line, character);
    return offset === undefined ? undefined : countAt(ranges, offset);
  };
  for (const way of ways) {
    const at = count(way.at);
    const of = way.of === undefined ? undefined : count(way.of);
    if (at === undefined || (way.of !== undefined && of === undefined)) continue;
    way.count = (way.count ?? 0) + (of === undefined ? at : Math.max(0, of - at));
  }
}

/**
 * @param directory with what V8 wrote. @param files relative to `root`.
 * @returns ways of branches: {file, line, text, what, count}.
 */
export function typescriptBranches(root, directory, files) {
  const sources = new Map();
  for (const file of files) {
    const text = readFileSync(join(root, file), 'utf8');
    const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true);
    const url = pathToFileURL(join(root, file)).href;
    sources.set(url, { file, text, source, ways: waysOf(source) });
  }
  for (const name of existsSync(directory) ? readdirSync(directory) : []) {
    const report = JSON.parse(readFileSync(join(directory, name), 'utf8'));
    for (const script of report.result) {
      const known = sources.get(script.url.replace(/\?.*$/, ''));
      const map = report['source-map-cache']?.[script.url];
      if (known === undefined || !map?.data) continue;
      // Of before the file was edited: what was counted then lies elsewhere now.
      if (map.data.sourcesContent?.[0] !== known.text) continue;
      addCounts(script, map, known.source, known.ways);
    }
  }
  return [...sources.values()].flatMap(({ file, text, source, ways }) => {
    const lines = text.split('\n');
    return ways.map((way) => {
      const { line } = source.getLineAndCharacterOfPosition(way.branch);
      return {
        file,
        line: line + 1,
        text: lines[line].trim(),
        what: way.what,
        count: way.count ?? 0,
      };
    });
  });
}
