// Branches of C++ files and how often each way was gone: clang counts each condition.
import { spawnSync } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { join, relative } from 'node:path';

function capture(program, args) {
  const { status, stdout, stderr, error } = spawnSync(program, args, {
    encoding: 'utf8',
    maxBuffer: 1 << 30,
  });
  if (status !== 0) throw new Error(`${program}: ${error?.message ?? stderr}`);
  return stdout;
}

/**
 * @param programs everything that was run. @param directory with what they counted.
 * @param files relative to `root`.
 * @returns ways of branches: {file, line, text, what, count}.
 */
export function nativeBranches(root, programs, directory, files) {
  const merged = join(directory, 'merged.profdata');
  const profiles = readdirSync(directory).filter((name) => name.endsWith('.profraw'));
  const list = profiles.map((name) => join(directory, name));
  // A process that was killed leaves a profile that is cut off.
  capture('llvm-profdata', ['merge', '-sparse', '-failure-mode=all', '-o', merged, ...list]);
  const [first, ...rest] = programs;
  const objects = rest.flatMap((program) => ['-object', program]);
  const args = ['export', `-instr-profile=${merged}`, first, ...objects];
  const [{ files: reports }] = JSON.parse(capture('llvm-cov', args)).data;
  return files.flatMap((file) => {
    // Two builds may name it in two ways.
    const same = reports.filter(({ filename }) => relative(root, filename) === file);
    if (same.length === 0 && file.endsWith('.cc')) throw new Error(`no program has ${file}`);
    return waysOf(
      root,
      file,
      same.flatMap(({ branches }) => branches),
    );
  });
}

function waysOf(root, file, branches) {
  const lines = readFileSync(join(root, file), 'utf8').split('\n');
  const counts = new Map();
  for (const [line, column, , , whenTrue, whenFalse, fileId] of branches) {
    // Those of a macro are assertions: that one side never happens is what they say.
    if (fileId !== 0) continue;
    // A template, or what a header defines, is there once for each use.
    const place = `${line}:${column}`;
    const known = counts.get(place) ?? { line, whenTrue: 0, whenFalse: 0 };
    known.whenTrue += whenTrue;
    known.whenFalse += whenFalse;
    counts.set(place, known);
  }
  return [...counts.values()].flatMap(({ line, whenTrue, whenFalse }) => {
    const text = lines[line - 1].trim();
    return [
      { file, line, text, what: 'true', count: whenTrue },
      { file, line, text, what: 'false', count: whenFalse },
    ];
  });
}
