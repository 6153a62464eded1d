import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { extname } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { Counters, OpenOptions } from './adapters/adapter.js';
import type { Sample } from './measure.js';
import type { Stage, StageAnswer } from './stages.js';

const running = new Set<EngineProcess>();

/** Kills what is left, at the end and on an interrupt. */
export function stopEngineProcesses(): void {
  for (const one of running) one.kill();
}

interface Reply {
  readonly id: number;
  readonly answer?: StageAnswer;
  readonly error?: string;
}

/** tsx by its place and not by its name: the working directory may be anyone's. */
export function loaderArguments(): string[] {
  if (extname(import.meta.url) === '.js') return [];
  return ['--import', pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href];
}

/** The parent's end of worker.ts. */
export class EngineProcess {
  readonly name: string;
  readonly #child: ChildProcess;
  readonly #waiting = new Map<
    number,
    { resolve: (a: StageAnswer) => void; reject: (e: Error) => void }
  >();
  #next = 0;
  #ended: Error | undefined;

  constructor(name: string) {
    this.name = name;
    const worker = fileURLToPath(new URL(`./worker${extname(import.meta.url)}`, import.meta.url));
    this.#child = fork(worker, [], {
      execArgv: loaderArguments(),
      // Samples are plain numbers; NaN has to survive.
      serialization: 'advanced',
    });
    running.add(this);
    this.#child.on('message', (reply: Reply) => {
      const one = this.#waiting.get(reply.id);
      this.#waiting.delete(reply.id);
      if (reply.error === undefined) one?.resolve(reply.answer ?? {});
      else one?.reject(new Error(`${name}: ${reply.error}`));
    });
    this.#child.on('exit', (code, signal) => {
      running.delete(this);
      this.#ended = new Error(`the process of ${name} ended: ${signal ?? code}`);
      for (const one of this.#waiting.values()) one.reject(this.#ended);
      this.#waiting.clear();
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  run(stage: Stage): Promise<StageAnswer> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    const id = this.#next;
    this.#next += 1;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#child.send({ id, stage }, (error) => {
        if (error !== null) reject(error);
      });
    });
  }

  async sample(stage: Stage): Promise<Sample> {
    const { sample } = await this.run(stage);
    if (sample === undefined) throw new Error(`${this.name}: stage ${stage.stage} gives no sample`);
    return sample;
  }

  async counters(): Promise<Counters> {
    const { counters } = await this.run({ stage: 'counters' });
    if (counters === undefined || counters === null)
      throw new Error(`${this.name} has no counters`);
    return counters;
  }

  static async open(name: string, options: OpenOptions): Promise<EngineProcess> {
    const engine = new EngineProcess(name);
    await engine.run({ stage: 'open', engine: name, options });
    return engine;
  }

  /** Closes the store, then the process. */
  async close(): Promise<void> {
    await this.run({ stage: 'close' });
    const ended = once(this.#child, 'exit');
    this.#child.disconnect();
    await ended;
  }

  /** SIGKILL: nothing gets a chance to flush. */
  async crash(): Promise<void> {
    const ended = once(this.#child, 'exit');
    this.kill();
    await ended;
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }
}
