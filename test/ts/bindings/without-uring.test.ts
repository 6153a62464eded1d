import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { withDirectory } from '../../support/stores.js';

const INDEX = new URL('../../../ts/index.js', import.meta.url).href;
const LAUNCHER = fileURLToPath(new URL('../../support/without-uring.c', import.meta.url));
const run = promisify(execFile);

/** Two stores, one after the other; says what they run on, and the warnings of the process. */
const program = (path: string): string => `
  const { open } = await import(${JSON.stringify(INDEX)});
  const warnings = [];
  process.on('warning', (warning) => warnings.push(warning.message));
  for (const name of ['one', 'two']) {
    const store = await open(${JSON.stringify(path)} + name);
    await store.put('key', name);
    console.log(name, String(await store.get('key')), store.stats().io.backend);
    await store.close();
  }
  console.log(JSON.stringify(warnings));`;

// Fault model F10.
describe('a process that may not use io_uring', function () {
  this.timeout(60_000);

  it('uses threads by itself, and says so once', () =>
    withDirectory(async (directory) => {
      const launcher = join(directory, 'without-uring');
      // A sanitizer that is loaded before this process finds leaks of the compiler's own.
      await run('cc', ['-o', launcher, LAUNCHER], { env: { ...process.env, LD_PRELOAD: '' } });
      const node = [process.execPath, '--import', 'tsx', '--input-type=module', '--eval'];
      const { stdout } = await run(launcher, [...node, program(join(directory, 'store-'))]);
      const [one, two, warnings = '[]'] = stdout.trim().split('\n');
      assert.equal(one, 'one one POSIX');
      assert.equal(two, 'two two POSIX');
      const said = JSON.parse(warnings) as string[];
      assert.equal(said.length, 1, warnings);
      assert.match(
        said[0] as string,
        /^io_uring is not available \(io_uring_setup: EPERM\); using threads instead$/,
      );
    }));
});
