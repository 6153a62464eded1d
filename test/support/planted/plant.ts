/** The part of the ordinary test run that has to fail. */
export type Check =
  /** One program of test/native, or the tests of it whose names contain `test`. */
  | { readonly kind: 'native'; readonly program: string; readonly test: string }
  | { readonly kind: 'mocha'; readonly file: string; readonly grep: string }
  /** The states of one workload of the campaign in test/ts/crash/crash.test.ts, or the first of all. */
  | { readonly kind: 'crash'; readonly workload: string; readonly states: number };

/** A mistake: texts of one file that are replaced before the tests run. */
export interface Plant {
  readonly name: string;
  readonly what: string;
  /** Relative to the package root. */
  readonly file: string;
  /** Each text occurs exactly once. */
  readonly edits: readonly (readonly [find: string, replace: string])[];
  readonly caughtBy: Check;
}

/** What the ordinary run tries: test/ts/crash/crash.test.ts. */
export const CRASH_STATES_MAX = 100_000;
/** It comes to more workloads than these. */
export const CRASH_WORKLOADS = 100;
export const CRASH_SEED = 1;
const CRASH_ARGS = ['--per-point', '2', '--seed', String(CRASH_SEED), '--states'];

export function native(program: string, test = ''): Check {
  return { kind: 'native', program, test };
}

export function mocha(file: string, grep = ''): Check {
  return { kind: 'mocha', file, grep };
}

/** By the name of a workload that the campaign comes to, or a number of states. */
export function crash(what: string | number): Check {
  return typeof what === 'number'
    ? { kind: 'crash', workload: '', states: what }
    : { kind: 'crash', workload: what, states: CRASH_STATES_MAX };
}

/** Program and arguments, to be run in the package root. */
export function commandOf(check: Check): string[] {
  switch (check.kind) {
    case 'native': {
      const program = `build/native-tests/${check.program}`;
      return check.test === '' ? [program] : [program, check.test];
    }
    case 'mocha':
      return [
        ...['node', 'node_modules/mocha/bin/mocha.js', '--bail', check.file],
        ...(check.grep === '' ? [] : ['--grep', check.grep]),
      ];
    case 'crash':
      return [
        ...['node', '--import', 'tsx', 'test/support/crash/run.ts'],
        ...[...CRASH_ARGS, String(check.states)],
        ...(check.workload === '' ? [] : ['--workload', check.workload]),
      ];
  }
}

/** The one state that a violation of the crash states names. */
export function replayOf(token: string): string[] {
  return ['node', '--import', 'tsx', 'test/support/crash/run.ts', '--replay', token];
}

/** As one reads it in the table. */
export function describeCheck(check: Check): string {
  switch (check.kind) {
    case 'native':
      return `native ${check.program}${check.test === '' ? '' : ` ${check.test}`}`;
    case 'mocha':
      return `mocha ${check.file}${check.grep === '' ? '' : ` "${check.grep}"`}`;
    case 'crash':
      return check.workload === ''
        ? `crash states, the first ${check.states}`
        : `crash states of ${check.workload}`;
  }
}

/** The text with the mistake in it. @throws Error when a text is not there exactly once. */
export function planted({ name, file, edits }: Plant, source: string): string {
  let text = source;
  for (const [find, replace] of edits) {
    const count = text.split(find).length - 1;
    if (count !== 1) {
      throw new Error(`${name}: found ${count} times in ${file}, not once:\n${find}`);
    }
    // A function, because a replacement may have $ in it.
    text = text.replace(find, () => replace);
  }
  return text;
}
