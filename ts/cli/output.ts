import type { Writable } from 'node:stream';

/**
 * Data goes to stdout, everything else to stderr. When nothing more can be written there, the
 * command is told so once, as an abort: that a reader went away (`| head`) is no error of it.
 */
export class Output {
  #broken = false;

  constructor(
    private readonly stdout: Writable,
    private readonly stderr: Writable,
    readonly json: boolean,
    readonly quiet: boolean,
    readonly colour: boolean,
    onBroken: (error: NodeJS.ErrnoException) => void,
  ) {
    stdout.on('error', (error: NodeJS.ErrnoException) => {
      if (this.#broken) return;
      this.#broken = true;
      onBroken(error);
    });
    // Nobody reads the notes any more; that must not end the work.
    stderr.on('error', () => undefined);
  }

  /** Nothing more can be written to stdout. */
  get broken(): boolean {
    return this.#broken;
  }

  /** Resolves when more may be written: a slow reader slows the command, it does not fill the memory. */
  async data(chunk: string | Uint8Array): Promise<void> {
    if (this.#broken || this.stdout.write(chunk)) return;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        this.stdout.off('drain', done).off('error', done).off('close', done);
        resolve();
      };
      this.stdout.once('drain', done).once('error', done).once('close', done);
    });
  }

  /** Resolves when all data is on its way, or cannot be. */
  async settled(): Promise<void> {
    if (this.#broken) return;
    await new Promise<void>((resolve) => this.stdout.write('', () => resolve()));
    // A write that failed says so in its callback, and in an event after that.
    await new Promise<void>((resolve) => setImmediate(resolve));
  }

  line(text: string): Promise<void> {
    return this.data(`${text}\n`);
  }

  jsonLine(value: unknown): Promise<void> {
    return this.data(`${JSON.stringify(value)}\n`);
  }

  /** A remark for people: on stderr, left out with --quiet and --json. */
  note(text: string): void {
    if (!this.quiet && !this.json) this.stderr.write(`${text}\n`);
  }

  /** A failure: on stderr, always. */
  error(text: string): void {
    this.stderr.write(text);
  }

  bold(text: string): string {
    return this.colour ? `\u001b[1m${text}\u001b[22m` : text;
  }
  green(text: string): string {
    return this.colour ? `\u001b[32m${text}\u001b[39m` : text;
  }
  yellow(text: string): string {
    return this.colour ? `\u001b[33m${text}\u001b[39m` : text;
  }
  red(text: string): string {
    return this.colour ? `\u001b[31m${text}\u001b[39m` : text;
  }
}
