import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

// CommonJS in both builds, because __dirname and require find the addon wherever this file runs
// from: ts/bindings through tsx, dist/esm/bindings or dist/cjs/bindings.

/** The exports of the addon, or what is missing and how to get it. */
export interface LoadedAddon {
  readonly exports?: unknown;
  readonly problem?: string;
  readonly cause?: unknown;
}

const REBUILD = 'run `npm rebuild cairn-kv`';
const TOOLS =
  'which needs g++, make, cmake and liburing-dev (apt install g++ make cmake liburing-dev)';

/** Loads build/Release/cairn.node of this package, or the file CAIRN_ADDON_PATH names (bundlers). */
export function loadAddonFile(): LoadedAddon {
  const named = process.env['CAIRN_ADDON_PATH'];
  const root = packageRoot();
  const file = named ?? (root === undefined ? undefined : join(root, 'build/Release/cairn.node'));
  if (file === undefined) {
    return {
      problem:
        `cannot load the native addon: no package.json of cairn-kv above ${__dirname}; ` +
        'keep the package out of the bundle, or set CAIRN_ADDON_PATH to its cairn.node',
    };
  }
  if (!existsSync(file)) {
    return {
      problem: `cannot load the native addon: ${file} does not exist; ${REBUILD}, ${TOOLS}`,
    };
  }
  try {
    // A variable, so that no bundler tries to follow it. An import cannot load an addon.
    // eslint-disable-next-line @typescript-eslint/no-require-imports
    return { exports: require(file) as unknown };
  } catch (cause) {
    return { problem: `cannot load the native addon: ${reasonOf(cause, file)}`, cause };
  }
}

/** The nearest directory above whose package.json is ours: dist/cjs has one of its own. */
function packageRoot(): string | undefined {
  for (let directory = __dirname; ; directory = dirname(directory)) {
    const manifest = join(directory, 'package.json');
    if (existsSync(manifest)) {
      const parsed: unknown = JSON.parse(readFileSync(manifest, 'utf8'));
      if (typeof parsed === 'object' && parsed !== null && 'name' in parsed) {
        if (parsed.name === 'cairn-kv') return directory;
      }
    }
    if (dirname(directory) === directory) return undefined;
  }
}

/** dlopen(3) says it in one line of text; there is no code to decide by. */
function reasonOf(cause: unknown, file: string): string {
  const text = cause instanceof Error ? cause.message : String(cause);
  const version = /version [`'"](\S+?)['"] not found/.exec(text)?.[1];
  if (version !== undefined) {
    return `${file} was built on a newer system: ${version} is missing here; ${REBUILD}, ${TOOLS}`;
  }
  if (/ELF|wrong architecture|Exec format/i.test(text)) {
    return `${file} was built for another processor, this is ${process.arch}; ${REBUILD}, ${TOOLS}`;
  }
  const library = /(\S+): cannot open shared object file/.exec(text)?.[1];
  if (library !== undefined) {
    return `the library ${library} is missing (another libc?); ${REBUILD}, ${TOOLS}`;
  }
  return `${text}; ${REBUILD}, ${TOOLS}`;
}
