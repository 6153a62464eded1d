// An entry of the tables in memory is four words: h, d, handle bits 0..31, handle bits 32..47 << 16 |
// low half of x. All zeros is empty. docs/FORMAT.md "Index entries".

export function isEmpty(view: Int32Array, at: number): boolean {
  return view[at + 2]! === 0 && view[at + 3]! >>> 16 === 0;
}

/** Is it the entry of these words? Also true for an empty entry when all three are 0: then the handle is 0. */
export function isEntry(view: Int32Array, at: number, d: number, h: number, x: number): boolean {
  return view[at]! === h && view[at + 1]! === d && (view[at + 3]! & 0xffff) === x;
}

export function handleAt(view: Int32Array, at: number): number {
  return (view[at + 3]! >>> 16) * 0x100000000 + (view[at + 2]! >>> 0);
}

export function setHandle(view: Int32Array, at: number, handle: number, x: number): void {
  view[at + 2] = handle | 0;
  view[at + 3] = (Math.floor(handle / 0x100000000) << 16) | x;
}
