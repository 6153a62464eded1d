import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { withDirectory } from '../../support/stores.js';

const INDEX = new URL('../../../ts/index.js', import.meta.url).href;

/** What `open` says in a process whose addon is that file. */
async function openWith(addon: string, path: string): Promise<string> {
  const program = `
    const { open } = await import(${JSON.stringify(INDEX)});
    await open(${JSON.stringify(path)}).catch((error) => console.log(error.code, error.message));`;
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['--import', 'tsx', '--input-type=module', '--eval', program],
    { env: { ...process.env, CAIRN_ADDON_PATH: addon }, timeout: 60_000 },
  );
  return stdout;
}

describe('an addon that cannot be loaded', function () {
  this.timeout(60_000);

  const cases: readonly (readonly [what: string, bytes: Buffer | undefined, says: RegExp])[] = [
    ['is not there', undefined, /cairn\.node does not exist; run `npm rebuild cairn-kv`/],
    ['is cut off', Buffer.from('text'), /file too short; run `npm rebuild cairn-kv`/],
    [
      'is no addon',
      Buffer.alloc(4096, 'text'),
      /built for another processor.*`npm rebuild cairn-kv`/,
    ],
  ];
  for (const [what, bytes, says] of cases) {
    it(`is named with what to do when it ${what}`, () =>
      withDirectory(async (directory) => {
        const addon = join(directory, 'cairn.node');
        if (bytes !== undefined) await writeFile(addon, bytes);
        const said = await openWith(addon, join(directory, 'store'));
        assert.match(said, /^CAIRN_/);
        assert.match(said, says);
        assert.match(said, /apt install g\+\+ make cmake liburing-dev/);
      }));
  }
});
