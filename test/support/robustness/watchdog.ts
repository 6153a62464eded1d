import { Worker } from 'node:worker_threads';

const PROGRAM = `
  const { workerData } = require('node:worker_threads');
  const { writeSync } = require('node:fs');
  const { counter, text, limitMs } = workerData;
  let seen = -1;
  setInterval(() => {
    const now = Atomics.load(counter, 0);
    if (now === seen) {
      const label = Buffer.from(text).toString('utf8', 4, 4 + Buffer.from(text).readUInt32LE(0));
      writeSync(2, 'no progress for ' + limitMs + ' ms: ' + label + '\\n');
      process.kill(process.pid, 'SIGKILL');
    }
    seen = now;
  }, limitMs);
`;

/**
 * Ends the process, saying where it stood, when {@link step} is not called for `limitMs`. A store on
 * a simulated disk that hangs never gives the event loop a turn, so that no timer of ours would fire.
 */
export class Watchdog {
  readonly #counter = new Int32Array(new SharedArrayBuffer(4));
  readonly #text = new Uint8Array(new SharedArrayBuffer(1024));
  readonly #worker: Worker;

  constructor(limitMs = 30_000) {
    this.#worker = new Worker(PROGRAM, {
      eval: true,
      workerData: { counter: this.#counter, text: this.#text, limitMs },
      execArgv: [],
    });
    this.#worker.unref();
  }

  step(label: string): void {
    const { written } = new TextEncoder().encodeInto(label, this.#text.subarray(4));
    new DataView(this.#text.buffer).setUint32(0, written, true);
    Atomics.add(this.#counter, 0, 1);
  }

  async stop(): Promise<void> {
    await this.#worker.terminate();
  }
}
