import type { NativeSlotFile } from '../bindings/slot-file.js';
import type { CopyHold } from './value-store.js';

/** Holds the slots of a file of `bytes`; native/value/retire_queue.h "HoldRange". */
export function holdSlots(native: NativeSlotFile, name: string, bytes: number): CopyHold {
  let held = true;
  native.holdRange(0, bytes);
  return {
    name,
    bytes,
    passed: (offset) => {
      if (held) native.holdRange(Math.min(offset, bytes), bytes);
    },
    release: () => {
      if (held) native.holdRange(bytes, bytes);
      held = false;
    },
  };
}
