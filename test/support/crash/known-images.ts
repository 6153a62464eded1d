import type { SimDisk } from '../../../ts/bindings/addon.js';
import type { Contents } from './oracle.js';
import { differenceOf } from './store.js';

export interface KnownImage {
  /** What its recovery gave. */
  readonly contents: Contents;
  /** What it was opened with had been read there. */
  readonly places: Uint32Array;
}

interface ReadSet {
  readonly places: Uint32Array;
  readonly images: Map<string, Contents>;
}

/** Those that were met last come first: neighbouring states read the same. */
const READ_SETS_MAX = 64;

/**
 * The images of one workload that were opened. What a store does on a simulated disk is decided by
 * the names and sizes of the files and by the pages it reads: an image that equals a known one in
 * these gives the same contents, whatever lies in pages that nobody looked at.
 */
export class KnownImages {
  readonly #whole = new Set<string>();
  /** By their number and bytes. */
  readonly #contents = new Map<string, Contents[]>();
  #sets: ReadSet[] = [];

  /** Was an image with the very same bytes met before? It counts as met from now on. */
  meet(disk: SimDisk): boolean {
    const hash = disk.imageHash();
    if (this.#whole.has(hash)) return true;
    this.#whole.add(hash);
    return false;
  }

  find(disk: SimDisk): KnownImage | undefined {
    for (const [at, set] of this.#sets.entries()) {
      const contents = set.images.get(disk.imageHash(set.places));
      if (contents === undefined) continue;
      this.#sets.splice(at, 1);
      this.#sets.unshift(set);
      return { contents, places: set.places };
    }
    return undefined;
  }

  /** @param disk which the image was opened on. */
  add(disk: SimDisk, contents: Contents): void {
    const places = disk.placesRead();
    let set = this.#sets.find((one) => equalPlaces(one.places, places));
    if (set === undefined) {
      set = { places, images: new Map() };
      this.#sets = [set, ...this.#sets.slice(0, READ_SETS_MAX - 1)];
    }
    set.images.set(disk.imageHash(places), this.#once(contents));
  }

  /** Equal contents are held once: there are far more images than those. */
  #once(contents: Contents): Contents {
    let bytes = 0;
    for (const value of contents.values()) bytes += value.length;
    const size = `${contents.size}:${bytes}`;
    const alike = this.#contents.get(size) ?? [];
    this.#contents.set(size, alike);
    const known = alike.find((one) => differenceOf(one, contents) === undefined);
    if (known === undefined) alike.push(contents);
    return known ?? contents;
  }
}

function equalPlaces(left: Uint32Array, right: Uint32Array): boolean {
  return left.length === right.length && left.every((place, at) => place === right[at]);
}
