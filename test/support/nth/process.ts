import { spawn, spawnSync, type ChildProcessByStdio } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { bundleProgram } from '../bundle.js';
import type { Loop, LoopReport } from './child.js';
import type { DoomedRun } from './doomed.js';
import { buildLibrary } from './library.js';
import type { RealCase } from './real-run.js';

/** The library and the program, built once. */
export class Build {
  readonly folder = mkdtempSync(join(tmpdir(), 'cairn-nth-'));
  readonly library = buildLibrary(this.folder);
  readonly program = bundleProgram(new URL('child.ts', import.meta.url), this.folder);

  get environment(): NodeJS.ProcessEnv {
    return { ...process.env, LD_PRELOAD: this.library };
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export interface DoomedEnd {
  readonly said: string;
  readonly errors: string;
  readonly signal: NodeJS.Signals | null;
  readonly status: number | null;
}

/** Waits for the process to end. */
export function runDoomedProcess(build: Build, run: DoomedRun): DoomedEnd {
  const { program, library, environment: env } = build;
  const options = { env, encoding: 'utf8', timeout: 60_000, maxBuffer: 2 ** 28 } as const;
  const parameters = [program, library, run.backend, JSON.stringify(run)];
  const ended = spawnSync(process.execPath, parameters, options);
  const { stdout: said, stderr: errors, signal, status } = ended;
  return { said, errors, signal, status };
}

/** A process that runs loops on one backend: see child.ts. */
export class LoopProcess {
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly #lines: AsyncIterator<string>;
  #errors = '';

  constructor(build: Build, backend: RealCase['backend']) {
    const stdio: ['pipe', 'pipe', 'pipe'] = ['pipe', 'pipe', 'pipe'];
    const parameters = [build.program, build.library, backend];
    this.#child = spawn(process.execPath, parameters, { stdio, env: build.environment });
    this.#child.stderr.on('data', (text: Buffer) => (this.#errors += text.toString()));
    this.#child.stdin.on('error', () => undefined);
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }

  /** First of all. @returns 0 or -errno: whether io_uring can be trapped. */
  async started(): Promise<number> {
    return Number(await this.#line());
  }

  async run(loop: Loop): Promise<LoopReport> {
    this.#child.stdin.write(`${JSON.stringify(loop)}\n`);
    return JSON.parse(await this.#line()) as LoopReport;
  }

  get ended(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  async stop(): Promise<void> {
    if (this.ended) return;
    const end = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.stdin.end();
    await end;
  }

  async #line(): Promise<string> {
    const next = await this.#lines.next();
    if (next.done !== true) return next.value;
    throw new Error(`the process ended: ${this.#errors}`);
  }
}
