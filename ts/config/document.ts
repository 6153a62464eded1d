import type { ConfigProblem } from '../common/errors.js';
import type { ConfigNode } from './types.js';

// The deepest field is three levels down and the longest list has 64 entries; more is not a
// configuration, and the bounds keep a cyclic or a huge one from costing more than a message.
const DEPTH_MAX = 8;
const ENTRIES_MAX = 10_000;

/** Collects what is wrong, so that one error can list all of it. */
export class Problems {
  readonly list: ConfigProblem[] = [];

  add(path: string, given: unknown, allowed: string, suggestion?: string): void {
    const problem = { path, given: describe(given), allowed };
    this.list.push(suggestion === undefined ? problem : { ...problem, suggestion });
  }
}

/** Stands for a property whose getter threw or that lies too deep. */
class Unreadable {
  constructor(readonly reason: string) {}
}

/** A short text for a message; never calls into the value. */
export function describe(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return JSON.stringify(value.length > 60 ? `${value.slice(0, 57)}...` : value);
    case 'number':
    case 'boolean':
    case 'undefined':
      return String(value);
    case 'bigint':
      return 'a bigint';
    case 'symbol':
      return 'a symbol';
    case 'function':
      return 'a function';
    case 'object':
      if (value === null) return 'null';
      if (value instanceof Unreadable) return value.reason;
      return Array.isArray(value) ? `a list of ${value.length}` : 'an object';
  }
}

/** Is it a copied object of the document, and not a list or a leaf? */
export function isNode(value: unknown): value is ConfigNode {
  return (
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    !(value instanceof Unreadable)
  );
}

/** `a.b`, `a["odd key"]`; the root is ''. */
export function childPath(path: string, key: string): string {
  if (!/^\w+$/.test(key)) return `${path}[${describe(key)}]`;
  return path === '' ? key : `${path}.${key}`;
}

function isPlainObject(value: object): boolean {
  // Not by prototype: objects of another context (vm, a test runner's sandbox) are as plain.
  return Object.prototype.toString.call(value) === '[object Object]';
}

/**
 * Copies a document: own enumerable properties only, every getter read exactly once, null
 * prototypes, frozen. The caller's object is not looked at again, so it may change afterwards, and
 * what was checked is what is used. Values that are no data stay as leaves and fail their check.
 */
export function copyDocument(value: unknown): unknown {
  let entries = 0;

  function copy(current: unknown, depth: number): unknown {
    if (typeof current !== 'object' || current === null) return current;
    if (depth > DEPTH_MAX) return new Unreadable('nested too deeply');
    try {
      if (Array.isArray(current)) return copyList(current, depth);
      if (!isPlainObject(current)) return new Unreadable('an object that is no plain one');
      return copyObject(current, depth);
    } catch (error) {
      return new Unreadable(`unreadable (${error instanceof Error ? error.message : 'it threw'})`);
    }
  }

  function copyList(list: readonly unknown[], depth: number): unknown {
    entries += list.length;
    if (entries > ENTRIES_MAX) return new Unreadable(`more than ${ENTRIES_MAX} entries`);
    return Object.freeze(Array.from({ length: list.length }, (_, at) => copy(list[at], depth + 1)));
  }

  function copyObject(source: object, depth: number): unknown {
    const keys = Object.keys(source);
    entries += keys.length;
    if (entries > ENTRIES_MAX) return new Unreadable(`more than ${ENTRIES_MAX} entries`);
    // A null prototype has no setter for __proto__, so that it is a key like any other.
    const target = Object.create(null) as Record<string, unknown>;
    for (const key of keys) {
      const item = readOnce(source, key, depth);
      // undefined is absence: `{ path: maybe }` is how options are often passed on.
      if (item !== undefined) target[key] = item;
    }
    return Object.freeze(target);
  }

  function readOnce(source: object, key: string, depth: number): unknown {
    try {
      return copy((source as Record<string, unknown>)[key], depth + 1);
    } catch (error) {
      return new Unreadable(`unreadable (${error instanceof Error ? error.message : 'it threw'})`);
    }
  }

  return copy(value, 0);
}
