/**
 * States what our own code guarantees. What a caller, a file or a device can cause is a CairnError
 * instead. Throws a plain Error: it is a defect of cairn, and nobody handles it.
 */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Error(`cairn: assertion failed: ${message}`);
}

/** For the default branch of a switch: a new variant of the union fails to compile there. */
export function assertNever(value: never): never {
  throw new Error(`cairn: assertion failed: unexpected ${String(value)}`);
}
