import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { SimDisk } from '../../../ts/bindings/addon.js';
import { FileSet } from '../../../ts/bindings/file-set.js';
import { isCairnError } from '../../../ts/common/errors.js';
import { Log, SEQUENCE_GAP } from '../../../ts/log/log.js';
import { LOG_OPTIONS, offsetsToDamage, put, recover, SEGMENT_BYTES } from '../../support/log.js';
import { newSimDisk } from '../../support/sim-disk.js';

/** A disk with a log of records 1 to `count`, each synced by itself, closed in order. */
async function logged(count: number, valueBytes = 10): Promise<SimDisk> {
  const disk = newSimDisk({});
  const files = FileSet.simulate(disk);
  const log = await Log.create(files, LOG_OPTIONS);
  for (let sequence = 1; sequence <= count; sequence++) {
    await put(log, sequence, `key${sequence}`, 'v'.repeat(valueBytes), { sync: true });
    await log.sync();
  }
  await log.close();
  await files.dispose();
  return disk;
}

describe('the log', () => {
  it('hands back what was appended, in order', async () => {
    const disk = await logged(20);
    const { log, report, records } = await recover(FileSet.simulate(disk));
    assert.equal(records.length, 20);
    assert.equal(records[4], '5:key5=vvvvvvvvvv');
    assert.equal(report.lastSequence, 20);
    assert.equal(report.tornTail, false);
    assert.equal(log.firstSequence, 20 + SEQUENCE_GAP);
    await log.close();
  });

  it('skips what the checkpoint holds', async () => {
    const disk = await logged(20);
    const { records, log } = await recover(FileSet.simulate(disk), { startSequence: 15 });
    assert.equal(records.length, 5);
    await log.close();
  });

  it('goes on after recovery, again and again', async () => {
    const disk = newSimDisk({});
    let files = FileSet.simulate(disk);
    let log = await Log.create(files, LOG_OPTIONS);
    let sequence = 1;
    for (let round = 0; round < 5; round++) {
      for (let i = 0; i < 3; i++) await put(log, sequence++, `k${sequence}`, 'v');
      await log.close();
      await files.dispose();
      files = FileSet.simulate(disk);
      const found = await recover(files);
      assert.equal(found.records.length, 3 * (round + 1));
      log = found.log;
      sequence = log.firstSequence;
    }
    await log.close();
  });

  it('resolves sync when the records are durable', async () => {
    const files = FileSet.memory();
    const log = await Log.create(files, LOG_OPTIONS);
    const seen: [number, number][] = [];
    log.onProgress((durable, written) => seen.push([durable, written]));
    await put(log, 1, 'a', '1');
    await put(log, 2, 'b', '2');
    assert.equal(log.durableSequence, 0);
    await log.sync();
    assert.equal(log.durableSequence, 2);
    assert.equal(log.writtenSequence, 2);
    assert.deepEqual(seen.at(-1), [2, 2]);
    await log.close();
  });

  it('blocks until durable when asked to', async () => {
    const log = await Log.create(FileSet.memory(), LOG_OPTIONS);
    await put(log, 1, 'a', '1');
    log.waitSync(true);
    assert.equal(log.durableSequence, 1);
    await log.close();
  });

  it('waits at its capacity until segments are released', async () => {
    const files = FileSet.memory();
    const log = await Log.create(files, { ...LOG_OPTIONS, capacityBytes: 4 * SEGMENT_BYTES });
    const value = 'v'.repeat(10000);
    let sequence = 0;
    let blocked = false;
    for (let i = 0; i < 100 && !blocked; i++) {
      const append = put(log, sequence + 1, 'k', value);
      blocked = await Promise.race([
        append.then(() => false),
        new Promise<boolean>((resolve) => setImmediate(() => resolve(true))),
      ]);
      if (!blocked) sequence++;
      else {
        // One is kept for urgent records.
        assert.equal(log.liveBytes, 3 * SEGMENT_BYTES);
        log.release(log.rotate());
        await append;
        assert.equal(log.appendedSequence, sequence + 1);
      }
    }
    assert.ok(blocked);
    await log.close();
  });

  it('never reads stale groups of a recycled segment', async () => {
    const disk = newSimDisk({});
    let files = FileSet.simulate(disk);
    const log = await Log.create(files, LOG_OPTIONS);
    let first = 1;
    let sequence = 0;
    for (let round = 0; round < 6; round++) {
      for (let i = 0; i < 30; i++) {
        await put(log, ++sequence, `k${sequence}`, 'v'.repeat(3000), { sync: true });
        await log.sync();
      }
      first = log.rotate();
      log.release(first);
    }
    const start = sequence;
    await put(log, ++sequence, 'last', 'v');
    await log.close();
    await files.dispose();
    files = FileSet.simulate(disk);
    const found = await recover(files, { firstSegmentId: first, startSequence: start });
    assert.deepEqual(found.records, [`${sequence}:last=v`]);
    await found.log.close();
  });

  it('stays failed after a failed sync', async () => {
    const disk = newSimDisk({});
    const log = await Log.create(FileSet.simulate(disk), LOG_OPTIONS);
    await put(log, 1, 'a', '1');
    await log.sync();
    while (log.freeSegments < 2) await new Promise((resolve) => setImmediate(resolve));
    await put(log, 2, 'b', '2');
    disk.inject({ operation: 'sync' });
    disk.inject({ operation: 'write' });
    await assert.rejects(log.sync(), (error) => isCairnError(error, 'CAIRN_IO'));
    assert.throws(
      () => log.append(1, 0, 0, Buffer.from('c'), 1, Buffer.from('3'), 3, true),
      (error) => isCairnError(error, 'CAIRN_IO'),
    );
    await assert.rejects(log.whenRoom(), (error) => isCairnError(error, 'CAIRN_IO'));
    assert.equal(log.durableSequence, 1);
    await log.close();
  });

  it('refuses what does not belong into a log', async () => {
    const log = await Log.create(FileSet.memory(), LOG_OPTIONS);
    const key = Buffer.from('k');
    const put1 = (bytes: number, sequence: number) =>
      log.append(1, 0, 0, key, 1, Buffer.alloc(bytes), sequence, false);
    assert.throws(
      () => put1(SEGMENT_BYTES, 1),
      (error) => isCairnError(error, 'CAIRN_TOO_LARGE'),
    );
    assert.throws(
      () => put1(1, 0),
      (error) => isCairnError(error, 'CAIRN_INVALID_ARGUMENT'),
    );
    assert.throws(() => log.append(1, 0, 0, key, 2, key, 1, false), TypeError);
    assert.equal(put1(SEGMENT_BYTES - 8192, 1), true);
    await log.sync();
    await log.close();
    assert.throws(
      () => put1(1, 2),
      (error) => isCairnError(error, 'CAIRN_CLOSED'),
    );
  });

  it('reports a full disk to those who wait, and recovers when space returns', async () => {
    const disk = newSimDisk({});
    const files = FileSet.simulate(disk);
    const log = await Log.create(files, LOG_OPTIONS);
    disk.setCapacity(1);
    const value = 'v'.repeat(15000);
    let sequence = 1;
    await assert.rejects(
      async () => {
        for (; sequence < 100; sequence++) await put(log, sequence, 'k', value);
      },
      (error) => isCairnError(error, 'CAIRN_NO_SPACE'),
    );
    disk.setCapacity(0);
    await put(log, sequence, 'k', value);
    await log.sync();
    assert.equal(log.durableSequence, sequence);
    await log.close();
  });
});

describe('a damaged log', () => {
  it('is refused with file and offset for flipped bytes that were promised', async () => {
    const disk = await logged(3, 100);
    for (const offset of offsetsToDamage(4 * 4096)) {
      assert.ok(disk.flipBit('log-0000', offset, offset % 8));
      const files = FileSet.simulate(disk);
      // The manifest of a store that was closed in order knows that 3 is durable.
      await assert.rejects(recover(files, { durableSequence: 3 }), (error) => {
        assert.ok(isCairnError(error, 'CAIRN_CORRUPTION'), String(error));
        assert.equal(error.file, 'log-0000');
        assert.ok((error.offset as number) <= offset);
        return true;
      });
      await files.dispose();
      disk.flipBit('log-0000', offset, offset % 8);
    }
    const { log, records } = await recover(FileSet.simulate(disk), { durableSequence: 3 });
    assert.equal(records.length, 3);
    await log.close();
  });

  it('does not mind bytes behind its end', async () => {
    for (let offset = 4 * 4096; offset < SEGMENT_BYTES; offset += 509) {
      const disk = await logged(3, 100);
      disk.flipBit('log-0000', offset, 1);
      const { log, records } = await recover(FileSet.simulate(disk), { durableSequence: 3 });
      assert.equal(records.length, 3);
      await log.close();
      disk.release();
    }
  });

  it('cuts a torn tail above the bound, and whole batches with it', async () => {
    const disk = newSimDisk({});
    let files = FileSet.simulate(disk);
    const log = await Log.create(files, LOG_OPTIONS);
    await put(log, 1, 'a', '1', { sync: true });
    await log.sync();
    await put(log, 2, 'b', '2', { more: true });
    log.flush();
    while (log.pendingBytes > 0) await log.whenRoom();
    await put(log, 3, 'c', '3', { more: true });
    await put(log, 4, 'd', '4');
    await log.close();
    await files.dispose();
    disk.zeroSector('log-0000', 3 * 4096);
    files = FileSet.simulate(disk);
    const found = await recover(files, { durableSequence: 1 });
    assert.deepEqual(found.records, ['1:a=1']);
    assert.equal(found.report.tornTail, true);
    await put(found.log, found.log.firstSequence, 'e', '5');
    await found.log.close();
    await files.dispose();
    // The cut records stay cut, although the first of them still checks.
    const again = await recover(FileSet.simulate(disk));
    assert.deepEqual(
      again.records.map((text) => text.split(':')[1]),
      ['a=1', 'e=5'],
    );
    assert.equal(again.report.tornTail, false);
    await again.log.close();
  });

  it('is refused, or read as far as promised, when cut off or zeroed', async () => {
    const good = await logged(40, 3000);
    const names = good.fileNames();
    for (const name of names) {
      for (const bytes of [0, 100, 4096, 5000, 20480, SEGMENT_BYTES - 4096]) {
        for (const zeroed of [false, true]) {
          const disk = newSimDisk({});
          for (const other of names) disk.writeFile(other, good.readFile(other) as Uint8Array);
          const content = Buffer.from(good.readFile(name) as Uint8Array);
          disk.writeFile(name, zeroed ? content.fill(0, bytes) : content.subarray(0, bytes));
          const files = FileSet.simulate(disk);
          try {
            const found = await recover(files, { durableSequence: 40 });
            assert.equal(found.records.length, 40);
            await found.log.close();
          } catch (error) {
            assert.ok(isCairnError(error, 'CAIRN_CORRUPTION'), String(error));
          }
          await files.dispose();
        }
      }
    }
  });
});

describe('a crash while the log is written', () => {
  interface Step {
    readonly bytes: number;
    readonly more: boolean;
    readonly sync: boolean;
    readonly wait: boolean;
  }
  const steps = fc.array(
    fc.record({
      bytes: fc.oneof(fc.nat(200), fc.nat(9000)),
      more: fc.boolean(),
      sync: fc.boolean(),
      wait: fc.boolean(),
    }),
    { minLength: 1, maxLength: 40 },
  );

  async function run(disk: SimDisk, script: readonly Step[]) {
    const files = FileSet.simulate(disk);
    const log = await Log.create(files, LOG_OPTIONS);
    const durableAt: { event: number; sequence: number }[] = [];
    log.onProgress((durable) => durableAt.push({ event: disk.eventCount, sequence: durable }));
    let sequence = 0;
    const expected: string[] = [];
    const ends: number[] = [];
    for (const [index, step] of script.entries()) {
      const more = step.more && index < script.length - 1;
      const value = 'v'.repeat(step.bytes);
      await put(log, ++sequence, `k${sequence}`, value, { sync: step.sync, more });
      expected.push(`${sequence}:k${sequence}=${value}`);
      if (!more) ends.push(sequence);
      if (step.wait && !more) await log.sync();
    }
    await log.close();
    return { durableAt, expected, ends: [0, ...ends] };
  }

  it('leaves a prefix of whole batches with all that was promised', async () => {
    await fc.assert(
      fc.asyncProperty(steps, fc.nat(), fc.nat(), async (script, where, seed) => {
        const disk = newSimDisk({ record: true });
        const { durableAt, expected, ends } = await run(disk, script);
        const first = durableAt[0]?.event ?? 0;
        const total = disk.eventCount;
        for (let i = 0; i < 6; i++) {
          const point = first + ((where + i * 7919) % (total - first + 1));
          const promised = durableAt.filter((one) => one.event <= point).at(-1)?.sequence ?? 0;
          const kind = (['random', 'none', 'all', 'kill', 'random', 'random'] as const)[i] ?? 'all';
          const crashed = disk.crash(point, { kind, seed: seed + i, sectorBytes: 4096 });
          const files = FileSet.simulate(crashed);
          const found = await recover(files, { durableSequence: promised });
          const last = found.report.lastSequence;
          assert.ok(last >= promised, `${last} is less than the promised ${promised}`);
          assert.ok(ends.includes(last), `${last} is inside a batch`);
          assert.deepEqual(found.records, expected.slice(0, last));
          await found.log.close();
          await files.dispose();
          // Recovery is final: what it decided is what the next one finds.
          const again = FileSet.simulate(crashed);
          assert.deepEqual((await recover(again)).records, found.records);
          await again.dispose();
          crashed.release();
        }
        disk.release();
      }),
      { numRuns: 60 },
    );
  });
});
