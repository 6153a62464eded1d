import assert from 'node:assert/strict';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { open, type Store } from '../../../ts/index.js';
import * as first from '../../fixtures/format-v1/contents.js';
import * as second from '../../fixtures/format-v2/contents.js';
import { unpackStore } from '../../support/fixture-archive.js';
import { withDirectory } from '../../support/stores.js';

type Fixture = first.Fixture;
/** The contents of a folder of fixtures. */
interface Contents {
  readonly FIXTURES: readonly Fixture[];
  readonly SECOND: number;
  readonly expected: (n: number) => Buffer | undefined;
}

async function check(store: Store, contents: Contents, { keyOf }: Fixture): Promise<void> {
  const { SECOND, expected } = contents;
  let entries = 0;
  for (let n = 0; n < SECOND; n++) {
    const value = expected(n);
    assert.deepEqual(await store.get(keyOf(n)), value, `key ${n}`);
    assert.deepEqual(store.getSync(keyOf(n)), value, `key ${n}`);
    if (value !== undefined) entries++;
  }
  assert.equal(store.size, entries);
  const { records, damagedCount } = await store.verify();
  assert.deepEqual([records, damagedCount], [entries, 0]);
}

// Every released format is opened for ever; docs/FORMAT.md "Versions".
describeFormat(1, first);
describeFormat(2, second);

function describeFormat(version: number, contents: Contents): void {
  const folder = fileURLToPath(new URL(`../../fixtures/format-v${version}/`, import.meta.url));
  describe(`stores of format ${version}`, () => {
    for (const fixture of contents.FIXTURES) {
      for (const io of ['IOURING', 'POSIX'] as const) {
        it(`opens ${fixture.name} on ${io}, reads all of it and goes on writing`, () =>
          withDirectory(async (directory) => {
            const path = join(directory, 'store');
            await unpackStore(join(folder, `${fixture.name}.gz`), path);
            // Nothing but the path: the rest is as the store was made.
            let store = await open({ path, io: { type: io }, ...fixture.opened });
            assert.equal(store.stats().recovery.records > 0, !fixture.closed);
            await check(store, contents, fixture);
            await store.put(fixture.keyOf(0), 'new');
            await store.checkpoint();
            await store.delete(fixture.keyOf(0));
            await store.close();
            store = await open({ path, io: { type: io }, ...fixture.opened });
            await check(store, contents, fixture);
            await store.close();
          }));
      }

      it(`reads ${fixture.name} without writing`, () =>
        withDirectory(async (directory) => {
          const path = join(directory, 'store');
          await unpackStore(join(folder, `${fixture.name}.gz`), path);
          const store = await open({ path, read_only: true, ...fixture.opened });
          await check(store, contents, fixture);
          await assert.rejects(store.put(fixture.keyOf(0), 'new'), { code: 'CAIRN_READ_ONLY' });
          await store.close();
        }));
    }
  });
}
