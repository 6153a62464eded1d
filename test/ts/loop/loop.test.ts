import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { FILE_SYSTEMS, whyNoLoopDevice } from '../../support/loop/devices.js';

const SCRIPT = fileURLToPath(new URL('../../../scripts/test-loop.mjs', import.meta.url));

/** In a process of its own: mounts go with it, and the library that refuses O_DIRECT is its. */
function runLoop(args: readonly string[]): Promise<string> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [SCRIPT, ...args]);
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => (output += text));
    }
    child.on('close', () => resolve(output));
  });
}

// Fault model F6 and F8 on file systems of the kernel; npm run test:loop has many more of them.
describe('a store on a loop device', function () {
  this.timeout(120_000);
  for (const kind of FILE_SYSTEMS) {
    for (const [only, what] of [
      ['full', 'that is full, goes on when there is space'],
      ['thin', 'that has less than it says, loses nothing that was acknowledged'],
    ] as const) {
      it(`${what}: ${kind}`, async function () {
        if (whyNoLoopDevice(kind) !== undefined) return this.skip();
        const output = await runLoop([
          '--only',
          only,
          '--fs',
          kind,
          '--seed',
          '22',
          '--cycles',
          '1',
        ]);
        assert.match(output, /^1 passed, 0 failed$/m, output);
      });
    }
  }
});
