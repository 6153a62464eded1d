import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { changeOf, TARGETS } from '../../support/fuzz/targets.js';

// As test/native/fuzz_corpus_test.cc does for the decoders in C++.
const INPUTS = fileURLToPath(new URL('../../fixtures/fuzz', import.meta.url));
const CHANGES_PER_INPUT = process.env['CAIRN_TEST_LONG'] === '1' ? 5_000 : 200;

interface Input {
  readonly name: string;
  readonly bytes: Buffer;
}

function inputsOf(target: string): Input[] {
  const names = readdirSync(join(INPUTS, target)).sort();
  return names.map((name) => ({ name, bytes: readFileSync(join(INPUTS, target, name)) }));
}

for (const target of TARGETS) {
  describe(`the inputs of ${target.name}`, () => {
    async function stands(bytes: Buffer, name: string): Promise<void> {
      try {
        await target.run(bytes);
      } catch (error) {
        const what = error instanceof Error ? error.stack : String(error);
        assert.fail(`${name}, base64 ${bytes.toString('base64')}: ${what}`);
      }
    }

    it('hold what every input has to', async () => {
      const inputs = inputsOf(target.name);
      assert.ok(inputs.length > 0);
      for (const { name, bytes } of inputs) await stands(bytes, name);
    });

    it('hold it with seeded changes as well', async function () {
      this.timeout(600_000);
      for (const { name, bytes } of inputsOf(target.name)) {
        for (let seed = 1; seed <= CHANGES_PER_INPUT; seed++) {
          await stands(changeOf(target, bytes, seed), `${name}, changed`);
        }
      }
    });

    it('begin with what the seeds are: npm run test:fuzz -- --seeds', () => {
      const there = new Set(inputsOf(target.name).map(({ bytes }) => bytes.toString('hex')));
      for (const seed of target.seeds()) assert.ok(there.has(seed.toString('hex')), String(seed));
    });
  });
}
