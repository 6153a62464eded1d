import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** Rooms of ts/ and what each may import beside itself; `index` at the end is ts/index.ts. */
const TS_ROOMS: Readonly<Record<string, readonly string[]>> = {
  common: [],
  bindings: ['common'],
  config: ['common'],
  registry: ['common', 'config'],
  index: ['common', 'config', 'bindings'],
  'value-store': ['common', 'config', 'bindings'],
  log: ['common', 'config', 'bindings'],
  engine: ['common', 'config', 'bindings', 'registry', 'index', 'value-store', 'log'],
  'index.ts': ['common', 'config', 'registry', 'index', 'value-store', 'log', 'engine'],
  adapters: ['index.ts'],
  cli: ['index.ts'],
};

/** Rooms of native/ and what each may include beside itself. */
const NATIVE_ROOMS: Readonly<Record<string, readonly string[]>> = {
  base: [],
  io: ['base'],
  alloc: ['base'],
  index: ['base', 'alloc'],
  cache: ['base', 'io'],
  log: ['base', 'io'],
  value: ['base', 'io', 'alloc', 'cache'],
  binding: ['base', 'io', 'alloc', 'index', 'cache', 'log', 'value'],
};

const LINES_MAX = 450;
const TEST_LINES_MAX = 600;
/** Longer than they should be: they may shrink, not grow. */
const LONG_FILES: Readonly<Record<string, number>> = {};

interface Source {
  /** Relative to the package root. */
  readonly path: string;
  readonly text: string;
}

function readSource(path: string): Source {
  return { path, text: readFileSync(join(ROOT, path), 'utf8') };
}

function filesBelow(directory: string, pattern: RegExp): Source[] {
  if (!existsSync(join(ROOT, directory))) return [];
  return (readdirSync(join(ROOT, directory), { recursive: true }) as string[])
    .filter((name) => pattern.test(name) && !name.includes('node_modules'))
    .map((name) => join(directory, name))
    .sort()
    .map(readSource);
}

const typescript = filesBelow('ts', /\.c?ts$/);
const native = filesBelow('native', /\.(cc|h)$/);
const scripts = filesBelow('scripts', /\.mjs$/);
const tests = [...filesBelow('test/ts', /\.ts$/), ...filesBelow('test/support', /\.ts$/)];
const nativeTests = filesBelow('test/native', /\.(cc|h)$/);
const bench = filesBelow('bench', /\.(ts|mjs|js)$/);
const examples = filesBelow('examples', /\.(ts|mjs|js|cjs)$/);

/** The text with comments and the contents of strings taken out, line breaks kept. */
function codeOf(text: string): string {
  const token =
    /\/\/[^\n]*|\/\*[\s\S]*?\*\/|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`/g;
  return text.replace(token, (match) => match.replace(/[^\n]/g, ' '));
}

/** 'path:line: text' of every line of `text` that matches. */
function linesMatching(source: Source, text: string, pattern: RegExp): string[] {
  return text.split('\n').flatMap((line, at) => {
    return pattern.test(line) ? [`${source.path}:${at + 1}: ${line.trim()}`] : [];
  });
}

function assertNone(findings: readonly string[], rule: string): void {
  assert.equal(findings.length, 0, `${rule}\n  ${findings.slice(0, 40).join('\n  ')}`);
}

/** The modules a TypeScript file names, static and dynamic imports and re-exports alike. */
function importsOf(text: string): string[] {
  const pattern = /(?:\bfrom|\bimport|\bimport\(|\brequire\()\s*'([^']+)'/g;
  return [...text.matchAll(pattern)].map((match) => match[1] ?? '');
}

/** 'ts/engine/open.ts' is in 'engine', 'ts/index.ts' in 'index.ts'. */
function roomOf(path: string): string {
  return path.split('/')[1] ?? '';
}

describe('layout', () => {
  it('finds the sources', () => {
    assert.ok(typescript.length > 5 && native.length > 5 && scripts.length > 5);
  });

  it('lets a room of ts/ import only what stands below it', () => {
    const findings: string[] = [];
    for (const { path, text } of typescript) {
      const room = roomOf(path);
      const allowed = TS_ROOMS[room];
      if (allowed === undefined) findings.push(`${path}: ${room} is no room of ts/`);
      for (const specifier of importsOf(text)) {
        if (!specifier.startsWith('.')) continue;
        const target = roomOf(join(path, '..', specifier).replace(/js$/, 'ts'));
        if (target === room || allowed?.includes(target) === true) continue;
        findings.push(`${path} imports ${specifier}`);
      }
    }
    assertNone(findings, 'imports that the rooms do not allow:');
  });

  it('assumes a directory nowhere above I/O: the rooms there know a FileSet', () => {
    const rooms = ['registry', 'index', 'value-store', 'log', 'engine'];
    const findings = typescript
      // A pool file is memory that outlives the process: on tmpfs, and no part of the store's files.
      .filter(({ path }) => rooms.includes(roomOf(path)) && !path.endsWith('memory-pool.ts'))
      .flatMap((source) => linesMatching(source, source.text, /'node:fs|process\.cwd/));
    assertNone(findings, 'a directory is assumed:');
  });

  it('lets a room of native/ include only what stands below it', () => {
    const findings: string[] = [];
    for (const { path, text } of native) {
      const room = roomOf(path);
      const allowed = NATIVE_ROOMS[room];
      if (allowed === undefined) findings.push(`${path}: ${room} is no room of native/`);
      for (const [, target = ''] of text.matchAll(/^#include "([^"]+)"/gm)) {
        const targetRoom = target.split('/')[0] ?? '';
        const inside = targetRoom === room && target.includes('/');
        if (!inside && allowed?.includes(targetRoom) !== true) {
          findings.push(`${path} includes ${target}`);
        }
      }
    }
    assertNone(findings, 'includes that the rooms do not allow:');
  });

  it('keeps Node’s and libuv’s headers in native/binding', () => {
    const outside = native.filter(({ path }) => !path.startsWith('native/binding/'));
    const header = /#include\s*[<"](?:napi|node_api|js_native_api|node|uv|v8)\.h[>"]/;
    const findings = outside.flatMap((source) => linesMatching(source, source.text, header));
    assertNone([...findings], 'Node headers outside native/binding:');
  });

  it('lists every source of the addon once, sorted', () => {
    const listed = readFileSync(join(ROOT, 'native/sources.txt'), 'utf8')
      .split('\n')
      .filter(Boolean);
    const present = native.map(({ path }) => path).filter((path) => path.endsWith('.cc'));
    assert.deepEqual(listed, present);
  });

  it('has no any', () => {
    const findings = [...typescript, ...tests, ...bench].flatMap((source) =>
      linesMatching(source, codeOf(source.text), /[:<|&(,]\s*any\b(?!\s*[:?=(.])|\bas any\b/),
    );
    assertNone(findings, 'uses of any:');
  });

  it('compiles to both module systems', () => {
    const findings = typescript.flatMap((source) => [
      ...linesMatching(source, codeOf(source.text), /\bimport\.meta\b|^await\b|^export default\b/),
      ...importsOf(source.text)
        .filter((name) => name.startsWith('.') && !/\.c?js$/.test(name))
        .map((name) => `${source.path}: ${name} does not end in .js`),
    ]);
    assertNone(findings, 'import.meta, top-level await, default exports, imports without .js:');
  });

  it('names TypeScript files in kebab-case and C++ files in snake_case', () => {
    const findings = [
      ...typescript.filter(
        ({ path }) => !/^[a-z0-9]+(-[a-z0-9]+)*(\.d)?\.c?ts$/.test(basename(path)),
      ),
      ...native.filter(({ path }) => !/^[a-z0-9]+(_[a-z0-9]+)*\.(cc|h)$/.test(basename(path))),
    ];
    assertNone(
      findings.map(({ path }) => path),
      'file names:',
    );
  });

  it('prints only in the command line, the scripts and the benchmarks', () => {
    const quiet = typescript.filter(({ path }) => !path.startsWith('ts/cli/'));
    const findings = [
      ...quiet.flatMap((source) => linesMatching(source, codeOf(source.text), /\bconsole\.\w+\(/)),
      ...native
        .filter(({ path }) => path !== 'native/base/assert.h')
        .flatMap((source) =>
          linesMatching(source, codeOf(source.text), /\bprintf\(|std::c(out|err)/),
        ),
    ];
    assertNone(findings, 'debug printing:');
  });

  it('has no commented-out code', () => {
    const statement =
      /^\s*\/\/\s*(?:(?:const|let|var|if \(|for \(|while \(|return\b|import|export|await|#include|auto|std::)[^.]*[;{]$|\w+(?:\.\w+|->\w+)*\([^)]*\);$|\w+ \+?= [^.]*;$|\}\s*;?$)/;
    const findings = [
      ...typescript,
      ...native,
      ...scripts,
      ...tests,
      ...nativeTests,
      ...bench,
    ].flatMap((source) => linesMatching(source, source.text, statement));
    assertNone(findings, 'code in comments:');
  });

  it('keeps files short enough to read', () => {
    const findings: string[] = [];
    for (const { path, text } of [
      ...typescript,
      ...native,
      ...scripts,
      ...bench,
      ...tests,
      ...nativeTests,
    ]) {
      const lines = text.split('\n').length - 1;
      const limit = LONG_FILES[path] ?? (path.startsWith('test/') ? TEST_LINES_MAX : LINES_MAX);
      if (lines > limit) findings.push(`${path}: ${lines} lines, at most ${limit}`);
    }
    assertNone(findings, 'long files:');
  });

  it('holds no path of one machine', () => {
    const atRoot = [
      'README.md',
      'package.json',
      'package-lock.json',
      'CMakeLists.txt',
      'binding.gyp',
    ];
    const documents = [
      ...filesBelow('docs', /\.md$/),
      ...atRoot.filter((path) => existsSync(join(ROOT, path))).map(readSource),
    ];
    // Split, so that this file does not find itself.
    const pattern = new RegExp(['/work', '/root', '/home/\\w+', '/mnt/\\w+'].join('/|') + '/');
    const findings = [
      ...typescript,
      ...native,
      ...scripts,
      ...tests,
      ...nativeTests,
      ...bench,
      ...examples,
      ...documents,
    ]
      .filter(({ path }) => path !== 'test/ts/layout.test.ts')
      .flatMap((source) => linesMatching(source, source.text, pattern));
    assertNone(findings, 'absolute paths:');
  });
});
