import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import type { Sample } from '../measure.js';
import { PACKAGE_ROOT } from '../paths.js';
import { run } from './fio.js';

const SOURCE = join(PACKAGE_ROOT, 'bench/native/gather.cc');
const BUILD_DIRECTORY = join(PACKAGE_ROOT, 'build/bench');
/** Plain -O3: what a user's build of the addon gets, not what this one CPU could do. */
export const GATHER_FLAGS = ['-std=c++20', '-O3', '-Wall', '-Wextra'];

/** Compiles the yardstick at first use and after a change of its source. */
export async function buildGather(): Promise<string> {
  const program = join(BUILD_DIRECTORY, 'gather');
  const fresh = existsSync(program) && statSync(program).mtimeMs >= statSync(SOURCE).mtimeMs;
  if (fresh) return program;
  await mkdir(BUILD_DIRECTORY, { recursive: true });
  await run('g++', [...GATHER_FLAGS, '-o', program, SOURCE]);
  return program;
}

/** A running native gather over one set of keys and batches. */
export class NativeGather {
  readonly #child: ChildProcess;
  readonly #lines: Interface;
  readonly #waiting: { resolve: (line: string) => void; reject: (error: Error) => void }[] = [];

  private constructor(child: ChildProcess, lines: Interface) {
    this.#child = child;
    this.#lines = lines;
    lines.on('line', (line) => this.#waiting.shift()?.resolve(line));
    const fail = (error: Error): void => {
      for (const one of this.#waiting.splice(0)) one.reject(error);
    };
    child.on('error', fail);
    child.on('exit', (code) => fail(new Error(`the native gather ended with ${code}`)));
  }

  static async start(
    directory: string,
    keys: BigUint64Array,
    batches: BigUint64Array,
    rowBytes: number,
  ): Promise<NativeGather> {
    const program = await buildGather();
    const keyFile = join(directory, 'gather-keys');
    const batchFile = join(directory, 'gather-batches');
    await writeFile(keyFile, new Uint8Array(keys.buffer, keys.byteOffset, keys.byteLength));
    await writeFile(
      batchFile,
      new Uint8Array(batches.buffer, batches.byteOffset, batches.byteLength),
    );
    const child = spawn(program, [keyFile, String(rowBytes), batchFile], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const gather = new NativeGather(child, createInterface({ input: child.stdout }));
    const ready = await gather.#line();
    if (ready !== 'ready') throw new Error(`the native gather said: ${ready}`);
    return gather;
  }

  #line(): Promise<string> {
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  /** Rows per second. */
  async measure(batch: number, milliseconds: number): Promise<Sample> {
    const answer = this.#line();
    this.#child.stdin?.write(`${batch} ${milliseconds}\n`);
    const [nanoseconds = 'NaN', missing = '0'] = (await answer).split(' ');
    if (missing !== '0') throw new Error(`the native gather missed ${missing} keys`);
    return { value: 1e9 / Number(nanoseconds), extra: { nanosecondsPerRow: Number(nanoseconds) } };
  }

  stop(): void {
    this.#child.stdin?.end();
    this.#child.kill();
    this.#lines.close();
  }
}
