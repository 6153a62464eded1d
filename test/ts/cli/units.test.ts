import assert from 'node:assert/strict';
import { Writable } from 'node:stream';
import { entryLine, keyCodec, parseKey, parseValue } from '../../../ts/cli/encoding.js';
import { describeError, exitCodeOf, renderError } from '../../../ts/cli/errors.js';
import {
  escapeLine,
  formatBytes,
  formatDuration,
  formatMicroseconds,
} from '../../../ts/cli/format.js';
import { sliceField } from '../../../ts/cli/json-slice.js';
import { splitLines } from '../../../ts/cli/lines.js';
import { Output } from '../../../ts/cli/output.js';
import { describeProgress, RateMeter, startProgress } from '../../../ts/cli/progress.js';
import { comparePaths } from '../../../ts/cli/source-dir.js';
import { renderStats } from '../../../ts/cli/stat.js';
import { Window } from '../../../ts/cli/window.js';
import type { StoreStats } from '../../../ts/index.js';

const sink = (isTTY: boolean): Writable & { isTTY: boolean; text: string } => {
  const stream = Object.assign(
    new Writable({
      write(chunk: Buffer, _encoding, done) {
        stream.text += chunk.toString();
        done();
      },
    }),
    { isTTY, text: '' },
  );
  return stream;
};

describe('command line: numbers', () => {
  it('formats sizes, times and durations', () => {
    assert.deepEqual([0, 1023, 1024, 1536, 10_485_760, 2 ** 50].map(formatBytes), [
      '0 B',
      '1023 B',
      '1 KiB',
      '1.5 KiB',
      '10 MiB',
      '1 PiB',
    ]);
    assert.deepEqual([0.42, 9.96, 75, 7380, 200_000, Infinity].map(formatDuration), [
      '420 ms',
      '10 s',
      '1m 15s',
      '2h 3m',
      '2d 7h',
      '?',
    ]);
    assert.deepEqual([5.5, 850, 1250, 2e6].map(formatMicroseconds), [
      '5.5 us',
      '850 us',
      '1.25 ms',
      '2 s',
    ]);
  });
  it('escapes what would break a line or move a cursor', () => {
    assert.equal(escapeLine('a\\b\u001b[2J\u009b\u2028é'), 'a\\\\b\\u001b[2J\\u009b\\u2028é');
  });
});

describe('command line: progress', () => {
  it('smooths the rate and tells the time left', () => {
    const meter = new RateMeter(0, 0);
    for (let second = 1; second <= 20; second++) meter.update(100 * second, 1000 * second);
    assert.ok(Math.abs(meter.perSecond - 100) < 1);
    assert.ok(Math.abs(meter.secondsLeft(2000, 3000) - 10) < 0.5);
    assert.equal(
      describeProgress({ label: 'import', unit: 'entries', total: 3000 }, 2000, meter, ''),
      'import 66% 2,000/3,000 entries, 100/s, ETA 10 s',
    );
    assert.equal(
      describeProgress({ label: 'import', unit: 'bytes', total: 0 }, 2048, meter, ''),
      'import 2 KiB, 100 B/s',
    );
  });
  it('counts only this run when it goes on from an earlier one', () => {
    const meter = new RateMeter(1000, 0);
    meter.update(1100, 1000);
    assert.equal(meter.perSecond, 100);
  });
  it('draws a bar on a terminal and nothing at once into a file', () => {
    const terminal = sink(true);
    const bar = startProgress(terminal, { label: 'import', unit: 'entries', total: 10 });
    bar.update(5);
    bar.stop();
    assert.match(terminal.text, /import \[={15} {15}\] 50% 5\/10 entries/);
    const log = sink(false);
    const lines = startProgress(log, { label: 'import', unit: 'entries', total: 10 });
    lines.update(5);
    lines.stop();
    assert.equal(log.text, '');
  });
});

describe('command line: readers', () => {
  it('slices a field as it was written, the last one when it is repeated', () => {
    const text = '{ "a" : [1,{"b":"]}"}] , "b":"x\\"}", "n": 12345678901234567890.0 ,"b" :  -1e5}';
    assert.equal(sliceField(text, 'a'), '[1,{"b":"]}"}]');
    assert.equal(sliceField(text, 'n'), '12345678901234567890.0');
    assert.equal(sliceField(text, 'b'), '-1e5');
    assert.equal(sliceField(text, 'c'), undefined);
    assert.equal(sliceField('{}', 'c'), undefined);
    assert.equal(sliceField('{"\\u0061":null}', 'a'), 'null');
  });

  it('splits lines wherever the chunks end, and counts their bytes', async () => {
    const text = Buffer.from('ab\n\r\nlong line\nlast');
    for (let size = 1; size <= text.length; size++) {
      const chunks = [];
      for (let at = 0; at < text.length; at += size) chunks.push(text.subarray(at, at + size));
      const lines = [];
      for await (const line of splitLines(toStream(chunks), { byte: 0, line: 1 }, 100))
        lines.push(line);
      assert.deepEqual(
        lines.map(({ bytes }) => bytes.toString()),
        ['ab', '\r', 'long line', 'last'],
      );
      assert.deepEqual(
        lines.map(({ next }) => next),
        [3, 5, 15, 19],
      );
      assert.deepEqual(
        lines.map(({ number }) => number),
        [1, 2, 3, 4],
      );
    }
  });

  it('refuses a line that has no end', async () => {
    const read = async (): Promise<void> => {
      for await (const line of splitLines(
        toStream([Buffer.alloc(60), Buffer.alloc(60)]),
        { byte: 0, line: 1 },
        100,
      ))
        void line;
    };
    await assert.rejects(read, { code: 'CLI_BAD_INPUT' });
  });

  it('orders paths as the walk does', () => {
    const sorted = ['a', 'a/b', 'a/b/c', 'a/z', 'a-b', 'a-b/c', 'ab', 'b'];
    for (const [i, a] of sorted.entries()) {
      for (const [j, b] of sorted.entries()) {
        assert.equal(
          Math.sign(comparePaths(Buffer.from(a), Buffer.from(b))),
          Math.sign(i - j),
          `${a} ${b}`,
        );
      }
    }
  });
});

async function* toStream(chunks: readonly Buffer[]): AsyncGenerator<Buffer> {
  for (const chunk of chunks) yield await Promise.resolve(chunk);
}

describe('command line: the window of entries in flight', () => {
  const gate = (): { open: () => void; passed: Promise<void> } => {
    let open = (): void => undefined;
    const passed = new Promise<void>((resolve) => (open = resolve));
    return { open, passed };
  };

  it('admits a large entry alone and in its turn', async () => {
    const window = new Window(10, 100);
    const [first, large, small] = [gate(), gate(), gate()];
    const order: string[] = [];
    await window.start(60, () => first.passed);
    const largeStarted = window.start(500, () => large.passed).then(() => order.push('large'));
    const smallStarted = window.start(1, () => small.passed).then(() => order.push('small'));
    assert.equal(window.entries, 1);
    first.open();
    await largeStarted;
    assert.equal(window.bytes, 500);
    large.open();
    await smallStarted;
    small.open();
    await window.settled();
    assert.deepEqual(order, ['large', 'small']);
    assert.deepEqual([window.entries, window.bytes], [0, 0]);
  });

  it('lets an entry in flight grow although others wait to come in', async () => {
    const window = new Window(1, 100);
    const begin = gate();
    await window.start(0, async (lease) => {
      await begin.passed;
      await lease.grow(80);
    });
    const next = window.start(0, () => Promise.resolve());
    begin.open();
    await next;
    await window.settled();
    assert.equal(window.bytes, 0);
  });

  it('reports the first failure, lets the rest end, and gives back what they held', async () => {
    const window = new Window(4, 100);
    await window.start(10, async (lease) => {
      await lease.grow(80);
      throw new Error('first');
    });
    await window.start(10, async (lease) => {
      await lease.grow(90);
    });
    await window.settled();
    assert.throws(() => window.throwIfFailed(), /first/);
    await assert.rejects(
      window.start(1, () => Promise.resolve()),
      /first/,
    );
    assert.deepEqual([window.entries, window.bytes], [0, 0]);
  });
});

describe('command line: errors and tables', () => {
  it('prints code, message, place and what to do', () => {
    const error = Object.assign(new Error('read failed', { cause: new Error('EIO') }), {
      code: 'CAIRN_IO',
      operation: 'read',
      file: 'values-0',
      offset: 8192,
    });
    const report = describeError(error);
    assert.equal(exitCodeOf(report), 1);
    assert.equal(
      renderError(report),
      'cairn: CAIRN_IO: read failed\n  at: operation read, values-0, offset 8192\n  cause: EIO\n' +
        '  what to do: Look into the kernel log (dmesg) for the device; after a failed write, reopen the store.\n',
    );
    assert.equal(describeError('text').code, 'UNEXPECTED');
  });

  it('shows statistics as a table without a colour when there is no terminal', () => {
    const latency = { count: 0, mean: 0, p50: 0, p99: 0, p999: 0, max: 0 };
    const stats: StoreStats = {
      path: '/s',
      entries: 1000,
      io: { backend: 'POSIX', direct: true, degraded: ['registered buffers'] },
      operations: {
        gets: 3,
        hits: 2,
        puts: 1,
        deletes: 0,
        batches: 0,
        bytesRead: 0,
        bytesWritten: 0,
      },
      latency: {
        get: { ...latency, count: 3, p50: 5, p99: 9, p999: 9, max: 1500 },
        put: latency,
        delete: latency,
      },
      index: { type: 'DRAM_PET_HASH', entries: 1000, memoryBytes: 18_000 },
      values: {
        capacityBytes: 0,
        allocatedBytes: 4096,
        reservedBytes: 8192,
        liveSlots: 1,
        liveBytes: 0,
        waitingBytes: 0,
        garbageRatio: 0,
        movedBytes: 0,
        compactedCells: 0,
        punchedBytes: 0,
        deviceReads: 0,
        deviceReadBytes: 0,
        deviceWrites: 0,
        deviceWriteBytes: 0,
        memoryHits: 0,
        memoryBytes: 0,
      },
      log: {
        appendedSequence: 9,
        durableSequence: 9,
        liveBytes: 4096,
        bytesWritten: 4096,
        groups: 1,
        syncs: 1,
      },
      checkpoint: { count: 0, bytes: 0, sequence: 0 },
      recovery: { records: 0, milliseconds: 12, tornTail: false },
    };
    const text = renderStats(
      new Output(sink(false), sink(false), false, false, false, () => undefined),
      stats,
    );
    assert.match(text, /^store\n {2}path +\/s\n/);
    assert.match(text, /memory +17.6 KiB \(18.0 B per key\)/);
    assert.match(text, /get latency +p50 5 us, p99 9 us, p99.9 9 us, max 1.5 ms/);
    assert.ok(!text.includes('\u001b'));
  });
});

describe('command line: keys and values as text', () => {
  const badInput = { code: 'CLI_BAD_INPUT' };

  it('refuses text that is not of its encoding, and shortens it in the message', () => {
    const hex = keyCodec('bytes', 'hex');
    assert.deepEqual(parseKey('00fF', hex), Buffer.from([0, 255]));
    for (const text of ['0', '0g', 'abc']) assert.throws(() => parseKey(text, hex), badInput);
    for (const text of ['a', 'a===', 'a b'])
      assert.throws(() => parseValue(text, 'base64'), badInput);
    assert.throws(() => parseValue('\ud800', 'utf8'), badInput);
    assert.throws(() => parseValue(`{${'x'.repeat(100)}`, 'json'), {
      ...badInput,
      message: /^.{0,90}$/,
    });
    assert.equal(String(parseValue('{"a": 1}', 'json')), '{"a": 1}');
  });

  it('takes integers of 64 bits, and no encoding for them', () => {
    const u64 = keyCodec('u64', undefined);
    assert.equal(parseKey('18446744073709551615', u64), 2n ** 64n - 1n);
    assert.equal(parseKey('0xff', u64), 255n);
    for (const text of ['18446744073709551616', '-1', '1.0', '', '0x', '0x1ffffffffffffffff'])
      assert.throws(() => parseKey(text, u64), badInput);
    assert.throws(() => keyCodec('u64', 'hex'), { code: 'CLI_USAGE' });
  });

  it('writes an entry as one line, with base64 where the encoding cannot hold it', () => {
    const codec = keyCodec('bytes', undefined);
    const binary = Buffer.from([0xff, 0xfe]);
    assert.equal(entryLine('k', undefined, codec, 'utf8'), '{"key":"k"}');
    assert.equal(entryLine(7n, Buffer.from('v'), codec, 'hex'), '{"key":"7","value":"76"}');
    assert.equal(
      entryLine('k', Buffer.from('{"a":1}'), codec, 'json'),
      '{"key":"k","value":{"a":1}}',
    );
    for (const [encoding, value] of [
      ['utf8', binary],
      ['json', binary],
      ['json', Buffer.from('{"a":\n1}')],
      ['json', Buffer.from(' {"a":1}')],
      ['json', Buffer.from('{')],
    ] as const) {
      const line = entryLine(binary, value, codec, encoding);
      const base64 = value.toString('base64');
      assert.equal(
        line,
        `{"key":"//4=","key_encoding":"base64","value":"${base64}","value_encoding":"base64"}`,
      );
    }
  });
});
