/** An entry in flight; its size may become known only while it is being read. */
export interface Lease {
  /** Resolves when there is room for so many bytes more. */
  grow(bytes: number): Promise<void>;
}

interface Waiter {
  readonly bytes: number;
  readonly admit: () => void;
}

/**
 * A bound on what is in flight: at most so many entries and so many bytes. First come, first
 * admitted, so that one large entry is not passed by small ones for ever.
 */
export class Window {
  #entries = 0;
  #bytes = 0;
  #failure: { readonly error: unknown } | undefined;
  readonly #tasks = new Set<Promise<void>>();
  // Two queues: an entry in flight that wants to grow must not wait behind one that waits for its end.
  readonly #entering: Waiter[] = [];
  readonly #growing: Waiter[] = [];

  constructor(
    private readonly entriesMax: number,
    private readonly bytesMax: number,
  ) {}

  get entries(): number {
    return this.#entries;
  }
  get bytes(): number {
    return this.#bytes;
  }

  /**
   * Begins the work on one more entry, as soon as there is room for it.
   *
   * @param bytes what the entry holds from the start.
   * @returns when the work has begun. @throws what earlier work failed with.
   */
  async start(bytes: number, work: (lease: Lease) => Promise<void>): Promise<void> {
    this.throwIfFailed();
    if (this.#entering.length === 0 && this.#mayEnter(bytes)) {
      this.#entries++;
      this.#bytes += bytes;
    } else {
      await new Promise<void>((admit) => this.#entering.push({ bytes, admit }));
    }
    let held = bytes;
    const lease: Lease = {
      grow: async (more) => {
        await this.#grow(more);
        held += more;
      },
    };
    const running: Promise<void> = work(lease)
      .catch((error: unknown) => {
        this.#failure ??= { error };
      })
      .then(() => {
        this.#tasks.delete(running);
        this.#entries--;
        this.#bytes -= held;
        this.#wake();
      });
    this.#tasks.add(running);
  }

  /** Resolves when all that is in flight now has ended, well or not. */
  async settled(): Promise<void> {
    await Promise.all(this.#tasks);
  }

  throwIfFailed(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  async #grow(bytes: number): Promise<void> {
    if (this.#growing.length === 0 && this.#hasRoom(bytes)) {
      this.#bytes += bytes;
      return;
    }
    await new Promise<void>((admit) => this.#growing.push({ bytes, admit }));
  }

  #mayEnter(bytes: number): boolean {
    return this.#entries < this.entriesMax && this.#hasRoom(bytes);
  }

  /** What is larger than the whole window goes alone. */
  #hasRoom(bytes: number): boolean {
    return bytes === 0 || this.#bytes === 0 || this.#bytes + bytes <= this.bytesMax;
  }

  #wake(): void {
    for (
      let next = this.#growing[0];
      next !== undefined && this.#hasRoom(next.bytes);
      next = this.#growing[0]
    ) {
      this.#growing.shift();
      this.#bytes += next.bytes;
      next.admit();
    }
    for (
      let next = this.#entering[0];
      next !== undefined && this.#mayEnter(next.bytes);
      next = this.#entering[0]
    ) {
      this.#entering.shift();
      this.#entries++;
      this.#bytes += next.bytes;
      next.admit();
    }
  }
}
