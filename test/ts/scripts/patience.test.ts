import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { withDirectory } from '../../support/stores.js';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const MOCHA = join(ROOT, 'node_modules', 'mocha', 'bin', '_mocha');
const PATIENCE = join(ROOT, 'scripts', 'patience.mjs');

/** Each place where a limit may be set, and none that is kept. */
const SLOW = `
const slow = () => new Promise((resolve) => setTimeout(resolve, 100));
describe('a suite', function () {
  this.timeout(10);
  before(function () {
    this.timeout(5);
    return slow();
  });
  it('has a limit', slow);
  it('has one of its own', function () {
    this.timeout(5);
    return slow();
  });
});
`;

describe('mocha over an addon that counts', () => {
  it('ends no test for being slower than its suite allows', () => {
    // Symptom: a run of coverage failed in suites that pass, each time in others.
    // Cause: what suites say of their limits counted before what the run said with --timeout.
    // Fix: the run has one limit for all, however they ask for another.
    return withDirectory(async (directory) => {
      const file = join(directory, 'slow.test.mjs');
      await writeFile(file, SLOW);
      const run = (...args: string[]): number | null =>
        spawnSync(process.execPath, [MOCHA, ...args, file], { cwd: directory }).status;
      assert.equal(run('--require', PATIENCE), 0);
      assert.notEqual(run('--timeout', '600000'), 0);
    });
  });
});
