import type { Writable } from 'node:stream';

/**
 * Data goes to stdout, everything else to stderr. A reader that goes away (`| head`) is no error:
 * it is told to the command as an abort, once.
 */
export class Output {
  #broken = false;

  constructor(
    private readonly stdout: Writable,
    private readonly stderr: Writable,
    readonly json: boolean,
    readonly quiet: boolean,
    readonly colour: boolean,
    onBrokenPipe: () => void,
  ) {
    stdout.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error;
      this.#broken = true;
      onBrokenPipe();
    });
    // Nobody reads the notes any more; that must not end the work.
    stderr.on('error', () => undefined);
  }

  /** The reader of stdout has gone. */
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
