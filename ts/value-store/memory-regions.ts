/** Slots in memory lie in regions of 64 MiB: kRegionBytes of native/value/memory_slots.h. */
export const REGION_BYTES = 2 ** 26;

/** The first region shows at least so much, and twice as much each time that it does not suffice. */
const FIRST_VIEW_BYTES = 2 ** 18;

export interface RegionView {
  readonly buffer: ArrayBuffer;
  readonly bytes: Uint8Array;
  readonly words: Int32Array;
}

/**
 * Views of slots in memory, made when they are asked for, as far as they are asked for: V8 counts
 * what it is shown as used, and with 64 MiB at once every sixth open of a small store began a
 * collection of the whole heap.
 */
export class MemoryRegions {
  readonly #map: (index: number, bytes: number) => ArrayBuffer | undefined;
  #views: (RegionView | undefined)[] = [];

  /** @param map the first `bytes` of a region; undefined where that cannot be shown. */
  constructor(map: (index: number, bytes: number) => ArrayBuffer | undefined) {
    this.#map = map;
  }

  /** A view of the region up to `end` and maybe on; undefined where that cannot be shown. */
  upTo(index: number, end: number): RegionView | undefined {
    const view = this.#views[index];
    return view !== undefined && end <= view.bytes.length ? view : this.#widen(index, end);
  }

  clear(): void {
    this.#views = [];
  }

  #widen(index: number, end: number): RegionView | undefined {
    if (end > REGION_BYTES) return undefined;
    let length = index === 0 ? FIRST_VIEW_BYTES : REGION_BYTES;
    while (length < end) length *= 2;
    const buffer = this.#map(index, length);
    if (buffer === undefined) return undefined;
    const view = { buffer, bytes: new Uint8Array(buffer), words: new Int32Array(buffer) };
    while (this.#views.length < index) this.#views.push(undefined);
    this.#views[index] = view;
    return view;
  }
}
