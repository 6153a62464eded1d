import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { acceptedNames } from '../../../ts/config/names.js';
import { resolveConfig } from '../../../ts/config/resolve.js';
import { createRegistry, open, type StoreConfig } from '../../../ts/index.js';
import { withDirectory } from '../../support/stores.js';

const GUIDE = fileURLToPath(new URL('../../../docs/CONFIG.md', import.meta.url));
const [BEGIN, END] = ['<!-- pairs: begin -->', '<!-- pairs: end -->'];

const registry = createRegistry();
const names = registry.allNames();
const indexes = acceptedNames('index', names);
const values = acceptedNames('value', names);
const documentOf = (index: string, value: string): StoreConfig => ({
  index: { type: index },
  value: { type: value },
});

function accepts(index: string, value: string): boolean {
  try {
    resolveConfig('/s', documentOf(index, value), { names });
    return true;
  } catch {
    return false;
  }
}

function table(): string {
  const row = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  const quoted = (name: string): string => `\`${name}\``;
  return [
    row(['', ...values.map(quoted)]),
    row(['---', ...values.map(() => '---')]),
    ...indexes.map((index) =>
      row([quoted(index), ...values.map((v) => (accepts(index, v) ? 'accepted' : 'refused'))]),
    ),
  ].join('\n');
}

describe('every pair of index and value store', () => {
  it('stands in docs/CONFIG.md as the resolver decides it', async () => {
    const text = await readFile(GUIDE, 'utf8');
    const [begin, end] = [text.indexOf(BEGIN), text.indexOf(END)];
    assert.ok(begin >= 0 && end > begin);
    const wanted = `${BEGIN}\n\n${table()}\n\n`;
    // CAIRN_UPDATE_DOCS=1 writes the table after a change of the rules.
    if (process.env['CAIRN_UPDATE_DOCS'] === '1') {
      await writeFile(GUIDE, text.slice(0, begin) + wanted + text.slice(end));
      return;
    }
    // The formatter aligns columns.
    const plain = (table: string): string => table.replace(/ +/g, ' ').replace(/-+/g, '---');
    assert.equal(plain(text.slice(begin, end)), plain(wanted));
  });

  for (const index of indexes) {
    for (const value of values) {
      it(`${index} with ${value} gives a store, or says why not`, () =>
        withDirectory(async (directory) => {
          const path = join(directory, 'store');
          const code = !accepts(index, value)
            ? 'CAIRN_INVALID_CONFIG'
            : registry.has('index', index) && registry.has('value', value)
              ? undefined
              : 'CAIRN_UNSUPPORTED';
          if (code !== undefined) {
            await assert.rejects(open(path, documentOf(index, value)), { code });
            assert.equal(existsSync(path), false);
            return;
          }
          let store = await open(path, documentOf(index, value));
          await store.put('k', 'v');
          await store.close();
          store = await open(path);
          assert.equal(String(await store.get('k')), 'v');
          await store.close();
        }));
    }
  }
});
