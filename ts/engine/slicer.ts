import type { FileSet } from '../bindings/file-set.js';

/** Time that the event loop is held at a stretch. */
const SLICE_MS = 0.5;

/** Gives the event loop a turn when a slice is over; a simulated disk has no other work. */
export class Slicer {
  readonly #yields: boolean;
  readonly #sliceMs: number;
  #began = performance.now();

  constructor(parts: { readonly fileSet: FileSet }, sliceMs = SLICE_MS) {
    this.#sliceMs = sliceMs;
    this.#yields = !parts.fileSet.simulated;
  }

  async pause(): Promise<void> {
    if (!this.#yields || performance.now() - this.#began < this.#sliceMs) return;
    await new Promise((resolve) => setImmediate(resolve));
    this.#began = performance.now();
  }
}
