import { bytesOf } from '../stores.js';

/** What is known of a group of keys: every version above `invoked` was never asked for. */
export interface GroupHistory {
  acknowledged: number;
  invoked: number;
}

export function isDelete(version: number): boolean {
  return version % 5 === 4;
}

export function keysOf(group: number): string[] {
  return group % 8 === 7 ? [`k${group}a`, `k${group}b`, `k${group}c`] : [`k${group}`];
}

/** Sizes below a page, above it, and above the inline limit. */
export function valueOf(group: number, version: number): Buffer {
  const size = [30, 300, 1000, 5000, 20000][(group + version) % 5] as number;
  const value = bytesOf(group * 7919 + version, size + 8);
  value.writeUInt32LE(group, 0);
  value.writeUInt32LE(version, 4);
  return value;
}

/**
 * The version that the values of a group show: undefined when the keys are absent. Throws when they
 * are not one whole version.
 */
export function versionOf(
  group: number,
  values: readonly (Buffer | undefined)[],
): number | undefined {
  const [first] = values;
  const version = first?.readUInt32LE(4);
  for (const value of values) {
    if (
      version === undefined ? value !== undefined : value?.equals(valueOf(group, version)) !== true
    ) {
      throw new Error(
        `group ${group}: ${version === undefined ? 'absent' : `version ${version}`} in one key, ` +
          'something else in another, or bytes that nobody wrote',
      );
    }
  }
  return version;
}

/** May a crash leave this version? An absent key stands for any delete, or for nothing written. */
export function isAllowed(history: GroupHistory, version: number | undefined): boolean {
  const { acknowledged, invoked } = history;
  if (version !== undefined) return version >= acknowledged && version <= invoked;
  if (acknowledged < 0) return true;
  for (let candidate = acknowledged; candidate <= invoked; candidate++) {
    if (isDelete(candidate)) return true;
  }
  return false;
}
