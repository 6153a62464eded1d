import { isPowerOfTwo } from '../common/units.js';
import { childPath, isNode } from './document.js';
import type { Problems } from './document.js';
import { nearestName } from './suggest.js';
import type { ConfigNode } from './types.js';

export interface IntegerRule {
  readonly min: number;
  readonly max: number;
  /** Singular or plural noun for messages: 'bytes', 'ms', 'requests'. */
  readonly unit: string;
  readonly multipleOf?: number;
  readonly powerOfTwo?: boolean;
}

function describeRule(rule: IntegerRule): string {
  const kind = rule.powerOfTwo === true ? 'a power of two' : 'an integer';
  const range = `${kind} from ${rule.min} to ${rule.max} (${rule.unit})`;
  return rule.multipleOf === undefined ? range : `${range}, a multiple of ${rule.multipleOf}`;
}

function obeys(rule: IntegerRule, value: unknown): value is number {
  if (!Number.isSafeInteger(value) || typeof value !== 'number') return false;
  if (value < rule.min || value > rule.max) return false;
  if (rule.powerOfTwo === true && !isPowerOfTwo(value)) return false;
  return rule.multipleOf === undefined || value % rule.multipleOf === 0;
}

/**
 * One object of the document while it is read. A field that is wrong is reported and reads as its
 * default, so that the rest can still be checked: the configuration is never used then.
 */
export class Section {
  private constructor(
    private readonly node: ConfigNode | undefined,
    private readonly path: string,
    private readonly problems: Problems,
    /** False when something else stands where the object belongs; that is reported already. */
    readonly readable: boolean,
  ) {}

  /**
   * @param value what stands in the document, undefined when nothing does.
   * @param known the keys that may stand there.
   * @param moved keys of other versions, with what replaces them.
   */
  static open(
    value: unknown,
    path: string,
    problems: Problems,
    known: readonly string[],
    moved: ReadonlyMap<string, string> = new Map(),
  ): Section {
    if (value !== undefined && !isNode(value)) {
      problems.add(path, value, `an object with ${known.join(', ')}`);
      return new Section(undefined, path, problems, false);
    }
    for (const key of Object.keys(value ?? {})) {
      if (known.includes(key)) continue;
      const suggestion = moved.get(key) ?? nearestName(key, known);
      problems.add(childPath(path, key), value?.[key], `one of ${known.join(', ')}`, suggestion);
    }
    return new Section(value, path, problems, true);
  }

  child(key: string, known: readonly string[]): Section {
    return Section.open(this.raw(key), this.pathOf(key), this.problems, known);
  }

  raw(key: string): unknown {
    return this.node?.[key];
  }

  has(key: string): boolean {
    return this.raw(key) !== undefined;
  }

  pathOf(key: string): string {
    return childPath(this.path, key);
  }

  /** Reports the field as it stands. */
  refuse(key: string, allowed: string, suggestion?: string): void {
    this.problems.add(this.pathOf(key), this.raw(key), allowed, suggestion);
  }

  integer<D>(key: string, rule: IntegerRule, otherwise: D): number | D {
    const value = this.raw(key);
    if (value === undefined) return otherwise;
    if (obeys(rule, value)) return value;
    this.refuse(key, describeRule(rule));
    return otherwise;
  }

  /** @returns ascending, or undefined when absent. */
  integerList(key: string, rule: IntegerRule, lengthMax: number): readonly number[] | undefined {
    const value = this.raw(key);
    if (value === undefined) return undefined;
    if (!Array.isArray(value) || value.length === 0 || value.length > lengthMax) {
      this.refuse(key, `a list of 1 to ${lengthMax} entries, each ${describeRule(rule)}`);
      return undefined;
    }
    const seen = new Set<number>();
    for (const [at, item] of (value as readonly unknown[]).entries()) {
      const path = `${this.pathOf(key)}[${at}]`;
      if (!obeys(rule, item)) this.problems.add(path, item, describeRule(rule));
      else if (seen.has(item)) this.problems.add(path, item, 'each number only once');
      else seen.add(item);
    }
    return Object.freeze([...seen].sort((a, b) => a - b));
  }

  /** A number above 0 and at most 1. */
  ratio(key: string, otherwise: number): number {
    const value = this.raw(key);
    if (value === undefined) return otherwise;
    if (typeof value === 'number' && value > 0 && value <= 1) return value;
    this.refuse(key, 'a number above 0 and at most 1');
    return otherwise;
  }

  boolean(key: string, otherwise: boolean): boolean {
    const value = this.raw(key);
    if (value === undefined) return otherwise;
    if (typeof value === 'boolean') return value;
    this.refuse(key, 'true or false');
    return otherwise;
  }

  /** A path of a file or directory: '' reads as absent. */
  location(key: string): string | undefined {
    const value = this.raw(key);
    if (value === undefined || value === '') return undefined;
    if (typeof value === 'string' && !value.includes('\0')) return value;
    this.refuse(key, 'a path: a string without NUL characters');
    return undefined;
  }

  /** One of `names`, or an alias, which reads as what it stands for. */
  name<T extends string>(
    key: string,
    names: readonly T[],
    otherwise: T,
    aliases: ReadonlyMap<string, string> = new Map(),
  ): T {
    const value = this.raw(key);
    if (value === undefined) return otherwise;
    if (typeof value === 'string') {
      const canonical = aliases.get(value) ?? value;
      const found = names.find((name) => name === canonical);
      if (found !== undefined) return found;
    }
    const near = typeof value === 'string' ? nearestName(value, names) : undefined;
    this.refuse(key, `one of ${names.join(', ')}`, near);
    return otherwise;
  }
}
