import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { fail, MemoryStores, runWith } from '../../support/cli-memory-store.js';

interface ErrorLine {
  readonly error: { readonly code: string; readonly message: string; readonly hint?: string };
}

describe('command line: keys and values', () => {
  let stores: MemoryStores;
  beforeEach(() => {
    stores = new MemoryStores();
  });

  it('writes the bytes of a value to stdout as they are', async () => {
    const value = Buffer.from([0, 255, 10, 13, 0x80]);
    assert.equal((await runWith(stores, ['put', 's', 'k', '-'], { stdin: value })).code, 0);
    const got = await runWith(stores, ['get', 's', 'k']);
    assert.equal(got.code, 0);
    assert.deepEqual(got.stdoutBytes, value);
    assert.equal(got.stderr, '');
  });

  it('opens for reading only when it only reads, and makes a store for put alone', async () => {
    assert.equal((await runWith(stores, ['get', 's', 'k'])).code, 1);
    assert.deepEqual(stores.opened[0], {
      create_if_missing: false,
      read_only: true,
      key: { type: 'bytes' },
    });
    assert.equal((await runWith(stores, ['del', 's', 'k'])).code, 1);
    assert.equal(stores.stores.size, 0);
    await runWith(stores, ['put', 's', 'k', 'v']);
    assert.equal(stores.stores.size, 1);
  });

  it('ends with 1 and nothing on stdout when a key is not there', async () => {
    await runWith(stores, ['put', 's', 'k', 'v']);
    const plain = await runWith(stores, ['get', 's', 'absent']);
    assert.equal(plain.code, 1);
    assert.equal(plain.stdout, '');
    assert.match(plain.stderr, /^cairn: CLI_KEY_NOT_FOUND: /);
    const json = await runWith(stores, ['get', 's', 'absent', '--json']);
    assert.equal(json.code, 1);
    assert.equal((JSON.parse(json.stderr) as ErrorLine).error.code, 'CLI_KEY_NOT_FOUND');
  });

  it('reads and writes keys and values in hex and base64', async () => {
    await runWith(stores, [
      'put',
      's',
      '00ff',
      'AQI=',
      '--key-encoding',
      'hex',
      '--value-encoding',
      'base64',
    ]);
    assert.deepEqual(stores.stores.get('s')?.data.get('\u0000\u00ff'), Buffer.from([1, 2]));
    const got = await runWith(stores, [
      'get',
      's',
      'AP8=',
      '--key-encoding',
      'base64',
      '--value-encoding',
      'hex',
    ]);
    assert.equal(got.stdout, '0102\n');
  });

  it('refuses text that is not of its encoding instead of cutting it short', async () => {
    for (const [key, encoding] of [
      ['abc', 'hex'],
      ['zz', 'hex'],
      ['a', 'base64'],
      ['a!', 'base64'],
    ] as const) {
      const result = await runWith(stores, ['put', 's', key, 'v', '--key-encoding', encoding]);
      assert.equal(result.code, 1, key);
      assert.match(result.stderr, /CLI_BAD_INPUT/);
    }
    assert.equal(stores.stores.get('s')?.size, 0);
  });

  it('checks a JSON value before the store is made', async () => {
    const result = await runWith(stores, ['put', 's', 'k', '{"a":', '--value-encoding', 'json']);
    assert.equal(result.code, 1);
    assert.equal(stores.stores.size, 0);
  });

  it('takes a value that begins with a dash after --', async () => {
    await runWith(stores, ['put', 's', '--', '-key', '--json']);
    const got = await runWith(stores, ['get', 's', '--', '-key']);
    assert.equal(got.stdout, '--json');
  });

  it('finds out by itself that a store has u64 keys', async () => {
    await runWith(stores, ['put', 's', '18446744073709551615', 'v', '--key-type', 'u64']);
    assert.equal((await runWith(stores, ['get', 's', '0xffffffffffffffff'])).stdout, 'v');
    assert.equal((await runWith(stores, ['get', 's', '18446744073709551616'])).code, 1);
  });

  it('says so when --key-type does not agree with the store', async () => {
    await runWith(stores, ['put', 's', '7', 'v', '--key-type', 'u64']);
    const result = await runWith(stores, ['get', 's', '7', '--key-type', 'bytes', '--json']);
    assert.equal(result.code, 1);
    const { error } = JSON.parse(result.stderr) as ErrorLine;
    assert.equal(error.code, 'CAIRN_INCOMPATIBLE');
    assert.match(error.hint ?? '', /--key-type/);
  });

  it('deletes several keys and names those that were not there', async () => {
    await runWith(stores, ['put', 's', 'a', '1']);
    const result = await runWith(stores, ['del', 's', 'a', 'b', '--json']);
    assert.equal(result.code, 1);
    assert.deepEqual(JSON.parse(result.stdout), { deleted: 1, missing: ['b'] });
    assert.equal(stores.stores.get('s')?.size, 0);
  });

  it('closes the store when a command fails', async () => {
    stores.beforePut = () => {
      throw fail('CAIRN_NO_SPACE', 'the device is full');
    };
    const result = await runWith(stores, ['put', 's', 'a', '1']);
    assert.equal(result.code, 1);
    assert.match(
      result.stderr,
      /^cairn: CAIRN_NO_SPACE: the device is full\n {2}what to do: Free space/,
    );
    assert.equal(stores.stores.get('s')?.closed, true);
  });
});

describe('command line: listings', () => {
  let stores: MemoryStores;
  beforeEach(async () => {
    stores = new MemoryStores();
    await runWith(stores, ['put', 's', 'one', 'a\tb\nc\u001b[31m']);
    await runWith(stores, ['put', 's', 'ff', '-', '--key-encoding', 'hex'], {
      stdin: Buffer.from([0xfe]),
    });
  });

  it('shows one entry a line, control characters escaped and bytes as base64', async () => {
    const { stdout } = await runWith(stores, ['scan', 's']);
    assert.deepEqual(stdout.split('\n'), [
      'one\ta\\tb\\nc\\u001b[31m',
      'base64:/w==\tbase64:/g==',
      '',
    ]);
  });

  it('writes NDJSON that says where it had to use base64', async () => {
    const { stdout } = await runWith(stores, ['scan', 's', '--json']);
    const lines = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as unknown);
    assert.deepEqual(lines, [
      { key: 'one', value: 'a\tb\nc\u001b[31m' },
      { key: '/w==', key_encoding: 'base64', value: '/g==', value_encoding: 'base64' },
    ]);
  });

  it('stops at --limit, and leaves the values out with --keys-only', async () => {
    assert.equal(
      (await runWith(stores, ['scan', 's', '--limit', '1', '--keys-only'])).stdout,
      'one\n',
    );
    assert.equal((await runWith(stores, ['scan', 's', '--limit', '0'])).stdout, '');
    assert.equal(
      (await runWith(stores, ['scan', 's', '--limit', '1', '--keys-only', '--json'])).stdout,
      '{"key":"one"}\n',
    );
  });

  it('counts', async () => {
    assert.equal((await runWith(stores, ['count', 's'])).stdout, '2\n');
    assert.deepEqual(JSON.parse((await runWith(stores, ['count', 's', '--json'])).stdout), {
      count: 2,
    });
  });

  it('reports damage with exit code 1 and its place on stdout', async () => {
    assert.equal((await runWith(stores, ['verify', 's'])).code, 0);
    stores.stores.get('s')?.damaged.push({ file: 'values-0', offset: 4096, reason: 'checksum' });
    const plain = await runWith(stores, ['verify', 's']);
    assert.equal(plain.code, 1);
    assert.match(plain.stdout, /^damaged values-0 at 4096: checksum\n/);
    const json = await runWith(stores, ['verify', 's', '--json']);
    assert.equal(json.code, 1);
    assert.equal((JSON.parse(json.stdout) as { ok: boolean }).ok, false);
  });
});

describe('command line: usage', () => {
  const stores = new MemoryStores();

  it('ends with 2 for what is no command, no option, or no argument', async () => {
    for (const argv of [
      [],
      ['nope'],
      ['get', 's'],
      ['get', 's', 'k', 'more'],
      ['get', 's', 'k', '--nope'],
      ['scan', 's', '--limit', '-1'],
      ['scan', 's', '--limit', 'x'],
      ['put', 's', 'k'],
      ['get', 's', 'k', '--key-type', 'x'],
      ['get', 's', 'k', '--config', '{'],
    ]) {
      const result = await runWith(stores, argv);
      assert.equal(result.code, 2, argv.join(' '));
      assert.equal(result.stdout, '', argv.join(' '));
      assert.notEqual(result.stderr, '', argv.join(' '));
    }
  });

  it('gives a usage error as JSON when asked to', async () => {
    const result = await runWith(stores, ['--json', 'nope']);
    assert.equal(result.code, 2);
    assert.equal((JSON.parse(result.stderr) as ErrorLine).error.code, 'CLI_USAGE');
  });

  it('prints help and version on stdout with 0', async () => {
    assert.equal((await runWith(stores, ['--version'])).stdout, '1.2.3\n');
    for (const argv of [['--help'], ['help'], ['help', 'get'], ['get', '--help']]) {
      const help = await runWith(stores, argv);
      assert.equal(help.code, 0, argv.join(' '));
      assert.match(help.stdout, /Usage: cairn/);
    }
    assert.match((await runWith(stores, ['get', '--help'])).stdout, /--json/);
  });

  it('hands the configuration document to the store', async () => {
    await runWith(stores, [
      'put',
      's',
      'k',
      'v',
      '--config',
      '{"capacity":5}',
      '--lock-timeout-ms',
      '9',
    ]);
    assert.deepEqual(stores.opened.at(-1), {
      capacity: 5,
      create_if_missing: true,
      lock_timeout_ms: 9,
      key: { type: 'bytes' },
    });
  });

  it('leaves a value on stdin that never comes when it is interrupted, and closes nothing it did not open', async () => {
    const interrupt = new AbortController();
    const running = runWith(stores, ['put', 'other', 'k', '-'], {
      stdin: new PassThrough(),
      interrupt: interrupt.signal,
    });
    setImmediate(() => interrupt.abort(fail('CLI_INTERRUPTED', 'ended by SIGINT')));
    const result = await running;
    assert.equal(result.code, 1);
    assert.match(result.stderr, /CLI_INTERRUPTED/);
    assert.equal(stores.stores.has('other'), false);
  });
});
