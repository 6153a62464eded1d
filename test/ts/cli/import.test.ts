import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  fail,
  MemoryStores,
  runWith,
  type CliResult,
  type MemoryStore,
} from '../../support/cli-memory-store.js';

describe('command line: import', () => {
  let stores: MemoryStores;
  let folder: string;
  let store: string;
  beforeEach(async () => {
    stores = new MemoryStores();
    folder = await mkdtemp(join(tmpdir(), 'cairn-cli-'));
    store = join(folder, 'store');
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  const run = (source: string, ...options: string[]): Promise<CliResult> =>
    runWith(stores, ['import', store, source, '--json', ...options]);
  const content = (): Record<string, string> => {
    const { data } = stores.stores.get(store) as MemoryStore;
    return Object.fromEntries([...data].map(([key, value]) => [key, value.toString('utf8')]));
  };
  const file = async (name: string, text: string | Buffer): Promise<string> => {
    await writeFile(join(folder, name), text);
    return join(folder, name);
  };

  it('takes a directory tree as path to bytes, and counts links and specials', async () => {
    const tree = join(folder, 'tree');
    await mkdir(join(tree, 'b', 'c'), { recursive: true });
    await writeFile(join(tree, 'b', 'c', 'x'), 'deep');
    await writeFile(join(tree, 'a'), '');
    await writeFile(Buffer.concat([Buffer.from(`${tree}/`), Buffer.from([0xff])]), 'not UTF-8');
    await symlink('a', join(tree, 'link'));
    const result = await run(tree);
    assert.equal(result.code, 0, result.stderr);
    assert.deepEqual(content(), { a: '', 'b/c/x': 'deep', ÿ: 'not UTF-8' });
    const summary = JSON.parse(result.stdout) as {
      entries: number;
      bytes: number;
      skipped: { symlinks: number };
    };
    assert.equal(summary.entries, 3);
    assert.equal(summary.bytes, 13);
    assert.equal(summary.skipped.symlinks, 1);
    assert.equal(existsSync(`${store}.import.json`), false);
    assert.equal(stores.stores.get(store)?.closed, true);
  });

  it('takes NDJSON with encodings, keeping every digit of a JSON value', async () => {
    const source = await file(
      'in.ndjson',
      '\ufeff{"key":"a","value":{"id":12345678901234567890, "x":[1,"}"]}}\r\n\n{"value":"AQ==","key":"b","value_encoding":"base64"}',
    );
    assert.equal((await run(source, '--value-encoding', 'json')).code, 0);
    assert.deepEqual(content(), { a: '{"id":12345678901234567890, "x":[1,"}"]}', b: '\u0001' });
  });

  it('refuses text that is no Unicode instead of changing it', async () => {
    // Symptom: keys "\\ud800" and "\\udfff" of NDJSON, and two Latin-1 keys of CSV, became the same key.
    // Cause: what has no UTF-8 was written as U+FFFD.
    // Fix: it is refused.
    const sources = [
      await file('key.ndjson', '{"key":"\\ud800","value":"v"}\n'),
      await file('value.ndjson', '{"key":"k","value":"a\\udfff"}\n'),
      await file('latin1.csv', Buffer.from('key,value\nk\xe4,1\n', 'latin1')),
      await file('cut.csv', Buffer.from('key,value\nk,\xc3', 'latin1')),
    ];
    for (const source of sources) {
      const { code, stderr } = await run(source);
      assert.equal(code, 1, source);
      assert.match(stderr, /CLI_BAD_INPUT/);
    }
    assert.deepEqual(content(), {});
    const long = `${'ä'.repeat(100_000)},\u{1f600}\n`;
    assert.equal(
      (await run(await file('whole.csv', `key,value\nk,${long}`.replace('k,', '')))).code,
      0,
    );
    assert.equal(
      (await run(await file('pair.ndjson', '{"key":"\\ud83d\\ude00","value":""}'))).code,
      0,
    );
    assert.equal(content()[Buffer.from('\u{1f600}').toString('latin1')], '');
  });

  it('stores the whole object when only the key field is named', async () => {
    const source = await file('in.jsonl', '{"id":"a","n":1}\n');
    assert.equal((await run(source, '--key-field', 'id')).code, 0);
    assert.deepEqual(content(), { a: '{"id":"a","n":1}' });
  });

  it('takes u64 keys beyond 2^53 as numbers or text', async () => {
    const source = await file(
      'in.ndjson',
      '{"key":18446744073709551615,"value":"a"}\n{"key":"18446744073709551614","value":"b"}\n',
    );
    assert.equal((await run(source, '--key-type', 'u64')).code, 0);
    assert.deepEqual(content(), { '18446744073709551615': 'a', '18446744073709551614': 'b' });
  });

  it('names the line that is wrong', async () => {
    for (const [text, pattern] of [
      ['{"key":"a","value":"1"}\n{"key":', /line 2: /],
      ['[1]\n', /line 1: not a JSON object/],
      ['{"value":"1"}\n', /line 1: no field "key"/],
      ['{"key":"a"}\n', /line 1: no field "value"/],
      ['{"key":"a","value":1}\n', /line 1: field "value" is no string/],
      ['{"key":"","value":"1"}\n', /line 1: CAIRN_INVALID_KEY/],
    ] as const) {
      const result = await run(await file('in.ndjson', text));
      assert.equal(result.code, 1);
      assert.match(
        (JSON.parse(result.stderr) as { error: { message: string } }).error.message,
        pattern,
      );
      await rm(`${store}.import.json`, { force: true });
    }
  });

  it('takes CSV rows as JSON or one column', async () => {
    const source = await file('in.csv', '\ufeffid,name,2\n1,"a ""b""\nc",x\n2,,y\n');
    assert.equal((await run(source)).code, 0);
    assert.deepEqual(content(), {
      1: '{"id":"1","name":"a \\"b\\"\\nc","2":"x"}',
      2: '{"id":"2","name":"","2":"y"}',
    });
    assert.equal((await run(source, '--key-column', '2', '--value-column', 'name')).code, 0);
    assert.equal(content()['x'], 'a "b"\nc');
    const wrong = await run(source, '--key-column', 'nope');
    assert.equal(wrong.code, 1);
    assert.match(wrong.stderr, /no column/);
    const twice = await run(await file('twice.csv', 'a,b,a\n1,2,3\n'));
    assert.match(twice.stderr, /column \\"a\\" is there twice/);
    const broken = await run(await file('broken.csv', 'a,b\n1\n'));
    assert.equal(broken.code, 1);
    assert.match(broken.stderr, /CLI_BAD_INPUT/);
  });

  it('reads tabs from a .tsv file', async () => {
    assert.equal(
      (await run(await file('in.tsv', 'k\tv\na\tb,c\n'), '--value-column', 'v')).code,
      0,
    );
    assert.deepEqual(content(), { a: 'b,c' });
  });

  it('reads NDJSON and CSV from stdin', async () => {
    const ndjson = await runWith(stores, ['import', store, '-'], {
      stdin: '{"key":"a","value":"1"}\n',
    });
    assert.equal(ndjson.code, 0);
    assert.match(ndjson.stdout, /^1 entry, 1 B in /);
    await runWith(stores, ['import', store, '-', '--format', 'csv', '--value-column', 'v'], {
      stdin: 'k,v\nb,2\n',
    });
    assert.deepEqual(content(), { a: '1', b: '2' });
  });

  it('keeps at most 256 entries in flight, in the order of the source for a repeated key', async () => {
    stores.beforePut = () => new Promise((resolve) => setImmediate(resolve));
    const lines = Array.from({ length: 2000 }, (_, i) => `{"key":"k${i % 1000}","value":"${i}"}\n`);
    assert.equal((await run(await file('in.ndjson', lines.join('')))).code, 0);
    assert.equal(stores.stores.get(store)?.putsInFlightMax, 256);
    assert.equal(content()['k7'], '1007');
  });

  it('refuses options of another format, a source that is not there, and a store inside the source', async () => {
    const source = await file('in.ndjson', '');
    assert.equal((await run(source, '--key-column', 'x')).code, 2);
    assert.equal((await run(source, '--format', 'dir')).code, 2);
    assert.equal((await run(folder, '--format', 'csv')).code, 2);
    assert.equal((await run(folder)).code, 2);
    assert.equal((await run(join(folder, 'in.txt'))).code, 2);
    assert.equal((await run(join(folder, 'absent.csv'))).code, 1);
    assert.equal(stores.stores.size, 0);
  });

  describe('after a run that ended early', () => {
    const sources: readonly (readonly [string, () => Promise<string>])[] = [
      [
        'a directory',
        async () => {
          const tree = join(folder, 'tree');
          for (const name of ['a', 'a-b', 'b']) {
            await mkdir(join(tree, name), { recursive: true });
            for (let i = 0; i < 200; i++)
              await writeFile(join(tree, name, String(i)), `${name}${i}`);
          }
          return tree;
        },
      ],
      [
        'NDJSON',
        () =>
          file(
            'in.ndjson',
            Array.from({ length: 600 }, (_, i) => `{"key":"k${i}","value":"v"}\n`).join(''),
          ),
      ],
      [
        'CSV',
        () =>
          file(
            'in.csv',
            `k,v\n${Array.from({ length: 600 }, (_, i) => `k${i},"a\nb"\n`).join('')}`,
          ),
      ],
    ];
    for (const [name, make] of sources) {
      it(`goes on with the rest of ${name}`, async () => {
        const source = await make();
        const interrupt = new AbortController();
        stores.beforePut = (_key, count) => {
          if (count === 12) interrupt.abort(fail('CLI_INTERRUPTED', 'ended'));
        };
        const first = await runWith(stores, ['import', store, source], {
          interrupt: interrupt.signal,
        });
        assert.equal(first.code, 1);
        assert.match(first.stderr, /CLI_INTERRUPTED/);
        const memory = stores.stores.get(store) as MemoryStore;
        const done = memory.size;
        assert.ok(done >= 12 && done < 600, String(done));
        assert.ok(memory.flushes > 0, 'flushed before the state was written');
        assert.ok(existsSync(`${store}.import.json`));

        memory.puts = 0;
        const second = await run(source);
        assert.equal(second.code, 0, second.stderr);
        assert.equal(memory.size, 600);
        assert.equal(memory.puts, 600 - done);
        assert.equal((JSON.parse(second.stdout) as { resumedAt: number }).resumedAt, done);
        assert.equal(existsSync(`${store}.import.json`), false);
      });
    }

    const interrupted = async (source: string): Promise<MemoryStore> => {
      const interrupt = new AbortController();
      stores.beforePut = (_key, count) => {
        if (count === 12) interrupt.abort(fail('CLI_INTERRUPTED', 'ended'));
      };
      const before = stores.stores.get(store);
      if (before !== undefined) before.puts = 0;
      await runWith(stores, ['import', store, source], { interrupt: interrupt.signal });
      assert.ok(existsSync(`${store}.import.json`));
      const memory = stores.stores.get(store) as MemoryStore;
      memory.puts = 0;
      return memory;
    };
    const lines = (value: string): string =>
      Array.from({ length: 30 }, (_, i) => `{"key":"k${i}","value":"${value}"}\n`).join('');

    it('begins at the top when the source has changed', async () => {
      const source = await file('in.ndjson', lines('v'));
      const memory = await interrupted(source);
      await file('in.ndjson', lines('changed'));
      assert.equal((await run(source)).code, 0);
      assert.equal(memory.puts, 30);
    });

    it('begins at the top when the mapping has changed, or with --no-resume', async () => {
      const source = await file('in.ndjson', lines('v'));
      let memory = await interrupted(source);
      assert.equal((await run(source, '--key-field', 'key')).code, 0);
      assert.equal(memory.puts, 30);
      memory = await interrupted(source);
      assert.equal((await run(source, '--no-resume')).code, 0);
      assert.equal(memory.puts, 30);
    });

    it('begins at the top when the store holds less than it did', async () => {
      const source = await file('in.ndjson', lines('v'));
      const memory = await interrupted(source);
      memory.data.clear();
      assert.equal((await run(source)).code, 0);
      assert.equal(memory.size, 30);
    });

    it('begins at the top when the state is unreadable', async () => {
      const source = await file('in.ndjson', lines('v'));
      const memory = await interrupted(source);
      await writeFile(`${store}.import.json`, '{"version":1,');
      assert.equal((await run(source)).code, 0);
      assert.equal(memory.puts, 30);
    });

    it('begins at the top when the state is of another version', async () => {
      const source = await file('in.ndjson', lines('v'));
      const memory = await interrupted(source);
      const path = `${store}.import.json`;
      const state = await readFile(path, 'utf8');
      assert.ok(state.startsWith('{"version":1,'));
      await writeFile(path, state.replace('"version":1,', '"version":2,'));
      assert.equal((await run(source)).code, 0);
      assert.equal(memory.puts, 30);
    });

    it('keeps a position for stdin only when asked to', async () => {
      const interrupt = new AbortController();
      stores.beforePut = (_key, count) => {
        if (count === 12) interrupt.abort(fail('CLI_INTERRUPTED', 'ended'));
      };
      await runWith(stores, ['import', store, '-', '--resume'], {
        stdin: lines('v'),
        interrupt: interrupt.signal,
      });
      const memory = stores.stores.get(store) as MemoryStore;
      const done = memory.size;
      memory.puts = 0;
      await runWith(stores, ['import', store, '-', '--resume'], { stdin: lines('v') });
      assert.equal(memory.size, 30);
      assert.equal(memory.puts, 30 - done);
    });
  });

  it('writes its position about every second, never ahead of a flush', async function () {
    this.timeout(10_000);
    const source = await file(
      'in.ndjson',
      Array.from({ length: 60 }, (_, i) => `{"key":"k${i}","value":"v"}\n`).join(''),
    );
    let seen: { position: { entries: number }; storeSize: number } | undefined;
    stores.beforePut = async (_key, count) => {
      if (count > 3) return;
      // The first few hold the window for a while, as a slow device does.
      await new Promise((resolve) => setTimeout(resolve, 400 * count));
    };
    // A source that trickles, so that the second goes by while it is read.
    const { PassThrough } = await import('node:stream');
    const pipe = new PassThrough();
    const running = runWith(stores, ['import', store, '-', '--resume'], { stdin: pipe });
    for (const line of (await readFile(source, 'utf8')).trimEnd().split('\n')) {
      pipe.write(`${line}\n`);
      await new Promise((resolve) => setTimeout(resolve, 40));
      if (existsSync(`${store}.import.json`)) {
        seen = JSON.parse(await readFile(`${store}.import.json`, 'utf8')) as typeof seen;
      }
    }
    pipe.end();
    assert.equal((await running).code, 0);
    assert.ok(seen !== undefined && seen.position.entries > 0);
    assert.ok(seen.storeSize >= seen.position.entries);
    assert.ok((stores.stores.get(store)?.flushes ?? 0) >= 2);
  });
});
