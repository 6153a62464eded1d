import { mkdtempSync, rmSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { performance } from 'node:perf_hooks';
import { EngineProcess, stopEngineProcesses } from './engine-process.js';
import type { OpenOptions } from './adapters/adapter.js';
import { PACKAGE_ROOT } from './paths.js';
import { fioVersion, run } from './yardsticks/fio.js';

const PEERS = ['lmdb', 'classic-level'];

/** Development dependencies: a published package has none of them. */
function installedPeers(): string[] {
  const require = createRequire(import.meta.url);
  return PEERS.filter((name) => {
    try {
      require.resolve(name);
      return true;
    } catch {
      return false;
    }
  });
}

export interface BenchOptions {
  readonly json: boolean;
  readonly quick: boolean;
  readonly suite: 'yardsticks' | 'composite';
  /** Row groups; empty: all that the suite and the mode have. */
  readonly only: readonly string[];
  /** Where stores and fio's files go; a directory of its own is made there and removed. */
  readonly directory: string | null;
  readonly report: string | null;
  readonly rounds: number | null;
}

const QUICK_ROUNDS = 3;
const FULL_ROUNDS = 5;
const QUICK_SLICE_MS = 500;
const FULL_SLICE_MS = 2000;

/** What every row group needs: sizes, a place for its files, and a voice. */
export class BenchContext {
  readonly quick: boolean;
  readonly rounds: number;
  readonly sliceMilliseconds: number;
  readonly directory: string;
  /** Its version; null when it is not installed. */
  readonly fio: string | null;
  readonly peers: readonly string[] = installedPeers();
  readonly #begin = performance.now();
  #serial = 0;

  private constructor(options: BenchOptions, directory: string, fio: string | null) {
    this.quick = options.quick;
    this.rounds = options.rounds ?? (options.quick ? QUICK_ROUNDS : FULL_ROUNDS);
    this.sliceMilliseconds = options.quick ? QUICK_SLICE_MS : FULL_SLICE_MS;
    this.directory = directory;
    this.fio = fio;
  }

  static async create(options: BenchOptions): Promise<BenchContext> {
    // build/ is on the disk of the project; a temporary directory may be memory.
    const parent = resolve(options.directory ?? join(PACKAGE_ROOT, 'build'));
    let directory: string;
    try {
      await mkdir(parent, { recursive: true });
      directory = mkdtempSync(join(parent, 'bench-data-'));
    } catch (error) {
      if (options.directory !== null) throw error;
      directory = mkdtempSync(join(tmpdir(), 'cairn-bench-data-'));
    }
    return new BenchContext(options, directory, await fioVersion());
  }

  say(message: string): void {
    const seconds = ((performance.now() - this.#begin) / 1000).toFixed(1).padStart(6);
    process.stderr.write(`${seconds} s  ${message}\n`);
  }

  seconds(): number {
    return (performance.now() - this.#begin) / 1000;
  }

  /** A fresh directory. */
  async place(name: string): Promise<string> {
    this.#serial += 1;
    const path = join(this.directory, `${this.#serial}-${name}`);
    await mkdir(path, { recursive: true });
    return path;
  }

  /** A path that does not exist yet. */
  async newPath(name: string): Promise<string> {
    return join(await this.place('of'), name);
  }

  /** What earlier rows left to write must not be synced on a later row's account. */
  async quiesce(): Promise<void> {
    await run('sync', ['-f', this.directory]);
  }

  async discard(path: string): Promise<void> {
    await rm(path, { recursive: true, force: true });
  }

  /** Opens the engines side by side, each in its process and directory. */
  async openEngines(
    names: readonly string[],
    options: Omit<OpenOptions, 'directory'>,
  ): Promise<Map<string, EngineProcess>> {
    const opened = new Map<string, EngineProcess>();
    for (const name of names) {
      const directory = await this.newPath(name);
      opened.set(name, await EngineProcess.open(name, { ...options, directory }));
    }
    return opened;
  }

  /** Removes all that was made; safe to call from a signal handler. */
  cleanUp(): void {
    stopEngineProcesses();
    // A killed process may still be making a file: what is not empty yet is tried again.
    rmSync(this.directory, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
  }
}

/** Closes all, whatever the others do. */
export async function closeEngines(engines: ReadonlyMap<string, EngineProcess>): Promise<void> {
  for (const engine of engines.values()) {
    try {
      await engine.close();
    } catch {
      engine.kill();
    }
  }
}
