/**
 * A decoder in TypeScript with the property that every input has to have, as those of
 * test/native/fuzz/fuzz_target.h: `npm run test:fuzz` searches with libFuzzer, and
 * test/ts/robustness/fuzz-corpus.test.ts replays test/fixtures/fuzz/<name>.
 */
export interface FuzzTarget {
  readonly name: string;
  /** Throws where the property does not hold. */
  run(input: Buffer): Promise<void> | void;
  seeds(): readonly Buffer[];
  /** What the search puts into inputs: it does not see what a text is compared with. */
  readonly words: readonly string[];
}

/** Takes choices from the front of an input, a byte each; behind its end the first one. */
export class Choices {
  #at = 0;

  constructor(private readonly input: Buffer) {}

  byte(): number {
    return this.input[this.#at++] ?? 0;
  }

  pick<T>(list: readonly T[]): T {
    return list[this.byte() % list.length] as T;
  }

  rest(): Buffer {
    return this.input.subarray(this.#at);
  }
}
