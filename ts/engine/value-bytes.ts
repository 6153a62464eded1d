import { CairnError } from '../common/errors.js';
import { hasLoneSurrogate } from '../common/units.js';
import type { Value } from './api.js';

/**
 * The bytes of a value; of an array the array itself.
 *
 * @throws CairnError CAIRN_INVALID_VALUE.
 */
export function toBytes(value: Value | undefined): Uint8Array {
  if (typeof value === 'string') {
    const bytes = Buffer.from(value, 'utf8');
    // What has no UTF-8 would come back as another string.
    if (bytes.length !== value.length && hasLoneSurrogate(value)) {
      throw invalid('a value is well-formed Unicode, this one has half of a surrogate pair');
    }
    return bytes;
  }
  if (!(value instanceof Uint8Array)) throw invalid('a value is a string or a Uint8Array');
  // A view of nothing has no bytes either, but nobody means to store it.
  if (value.length === 0 && isDetached(value.buffer)) {
    throw invalid('the memory of the value was transferred away');
  }
  return value;
}

function isDetached(buffer: ArrayBufferLike): boolean {
  try {
    return new Uint8Array(buffer).length < 0;
  } catch {
    return true;
  }
}

function invalid(message: string): CairnError {
  return new CairnError('CAIRN_INVALID_VALUE', message);
}
