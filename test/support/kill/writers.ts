import { spawn, type ChildProcessByStdio } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';

const WRITER = fileURLToPath(new URL('./writer.ts', import.meta.url));

/** Writes once it is told on its standard input what, in a line of JSON; see writer.ts. */
export type Writer = ChildProcessByStdio<Writable, Readable, Readable>;

export function startWriter(): Writer {
  const stdio: ['pipe', 'pipe', 'pipe'] = ['pipe', 'pipe', 'pipe'];
  return spawn(process.execPath, ['--import', 'tsx', WRITER], { stdio });
}

/** Has the next process started while one writes: to start takes longer than a cycle. */
export class Writers {
  #next: Writer | undefined;

  take(): Writer {
    const writer = this.#next ?? startWriter();
    this.#next = startWriter();
    return writer;
  }

  close(): void {
    this.#next?.kill();
  }
}
