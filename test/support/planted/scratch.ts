import { spawn } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { commandOf, planted, replayOf, type Check, type Plant } from './plant.js';

/** What the tests that catch something are made of. */
const COPIED = [
  ...['.mocharc.json', 'CMakeLists.txt', 'package.json', 'tsconfig.json'],
  ...['examples', 'native', 'scripts', 'test', 'ts'],
];
/** A run that takes longer hangs. */
const TIMEOUT_MS = 10 * 60_000;
/** The campaign goes on after a violation; one is enough. */
const VIOLATION = /^VIOLATION .*\n.*\n.*--replay \S+\n/m;

export interface Outcome {
  readonly passed: boolean;
  readonly output: string;
}

/**
 * A copy of the tree in which mistakes are planted, in build/planted: what was built there stays, so
 * that another run compiles only what has changed.
 */
export class Scratch {
  readonly #root: string;
  readonly #path: string;
  /** What was built since a native source changed: 'addon' and programs of test/native. */
  readonly #built = new Set<string>();

  constructor(root: string) {
    this.#root = root;
    this.#path = join(root, 'build', 'planted');
    mkdirSync(this.#path, { recursive: true });
    for (const name of COPIED) this.#copy(name);
    const modules = join(this.#path, 'node_modules');
    if (!existsSync(modules)) symlinkSync(join(root, 'node_modules'), modules);
  }

  plant(plant: Plant): void {
    const text = planted(plant, readFileSync(join(this.#root, plant.file), 'utf8'));
    writeFileSync(join(this.#path, plant.file), text);
    this.#changed(plant.file);
  }

  revert({ file }: Plant): void {
    copyFileSync(join(this.#root, file), join(this.#path, file));
    this.#changed(file);
  }

  /** @throws Error when the tree does not build: that is no catch. */
  async build(check: Check): Promise<void> {
    const target = check.kind === 'native' ? check.program : 'addon';
    if (this.#built.has(target)) return;
    const steps =
      check.kind === 'native'
        ? [
            ['cmake', '-S', '.', '-B', 'build/native-tests', '-DCAIRN_TESTS=ON'],
            [
              ...['cmake', '--build', 'build/native-tests', '--target', target],
              ...['--parallel', String(availableParallelism())],
            ],
          ]
        : [['node', 'scripts/build-addon.mjs']];
    for (const step of steps) {
      const { passed, output } = await this.#run(step);
      if (!passed) throw new Error(`${step.join(' ')} failed:\n${output.slice(-4000)}`);
    }
    this.#built.add(target);
  }

  run(check: Check): Promise<Outcome> {
    return this.#run(commandOf(check));
  }

  /** One state, by the token that a violation came with. */
  replay(token: string): Promise<Outcome> {
    return this.#run(replayOf(token));
  }

  #changed(file: string): void {
    if (file.startsWith('native/')) this.#built.clear();
  }

  /** Only files that differ: what is older than its object is not compiled. */
  #copy(name: string): void {
    const from = join(this.#root, name);
    const to = join(this.#path, name);
    if (statSync(from).isDirectory()) {
      mkdirSync(to, { recursive: true });
      const names = readdirSync(from);
      for (const entry of readdirSync(to)) {
        if (!names.includes(entry)) rmSync(join(to, entry), { recursive: true });
      }
      for (const entry of names) this.#copy(join(name, entry));
      return;
    }
    if (existsSync(to) && readFileSync(from).equals(readFileSync(to))) return;
    mkdirSync(dirname(to), { recursive: true });
    copyFileSync(from, to);
  }

  #run([program = '', ...args]: readonly string[]): Promise<Outcome> {
    // A group of its own: what hangs may have started others.
    const child = spawn(program, args, {
      cwd: this.#path,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const kill = (): void => {
      if (child.pid === undefined) return;
      try {
        process.kill(-child.pid, 'SIGKILL');
      } catch {
        // It has ended.
      }
    };
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        output += text;
        if (VIOLATION.test(output)) kill();
      });
    }
    const interrupted = (): void => {
      kill();
      process.exit(130);
    };
    process.once('SIGINT', interrupted);
    process.once('SIGTERM', interrupted);
    const timer = setTimeout(() => {
      output += `\nhung: no end after ${TIMEOUT_MS / 60_000} minutes\n`;
      kill();
    }, TIMEOUT_MS);
    return new Promise((resolve, reject) => {
      child.on('error', reject);
      child.on('close', (status, signal) => {
        clearTimeout(timer);
        process.off('SIGINT', interrupted);
        process.off('SIGTERM', interrupted);
        if (signal !== null) output += `\nended by ${signal}\n`;
        resolve({ passed: status === 0, output });
      });
    });
  }
}
