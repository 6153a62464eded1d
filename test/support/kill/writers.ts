import { spawn, type ChildProcessByStdio } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bundleProgram } from '../bundle.js';

/** Writes once it is told on its standard input what, in a line of JSON; see writer.ts. */
export type Writer = ChildProcessByStdio<Writable, Readable, Readable>;

let program: string | undefined;

/** Compiled once for all writers of this process. */
function writerProgram(): string {
  if (program !== undefined) return program;
  const folder = mkdtempSync(join(tmpdir(), 'cairn-writer-'));
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
  program = bundleProgram(new URL('writer.ts', import.meta.url), folder);
  return program;
}

export function startWriter(): Writer {
  const stdio: ['pipe', 'pipe', 'pipe'] = ['pipe', 'pipe', 'pipe'];
  return spawn(process.execPath, [writerProgram()], { stdio });
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
