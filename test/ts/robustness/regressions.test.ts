import assert from 'node:assert/strict';
import { chmod, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { open, repair } from '../../../ts/index.js';
import { addon, refuseWithoutExternalBuffers } from '../../../ts/bindings/addon.js';
import type { NativeMemorySlotsConstructor } from '../../../ts/bindings/memory-slots.js';
import { isCairnError } from '../../../ts/common/errors.js';
import { Expectations, FaultyRun, settled } from '../../support/robustness/faults.js';
import {
  abandon,
  makeSmallStore,
  openSmall,
  smallConfig,
  type Contents,
} from '../../support/robustness/small-stores.js';
import { newSimDisk } from '../../support/sim-disk.js';
import { bytesOf, withDirectory, withStore } from '../../support/stores.js';

describe('what was wrong once', () => {
  it('acknowledges a large value that is durable before anyone waits for it', async () => {
    // Symptom: put() of a large value never settled.
    // Cause: the post of its group came before the promise was in the queue of acknowledgements.
    // Fix: the queue is asked only when the log has not come so far yet.
    const disk = newSimDisk();
    const store = await openSmall(disk, smallConfig('SSD_VALUE_STORE'));
    for (let at = 0; at < 20; at++) await store.put(`key-${at}`, bytesOf(at, 2049 + at * 100));
    await store.close();
  });

  it('goes on when room comes between a refusal and the wait for it', async () => {
    // Symptom: batchPut() never settled.
    // Cause: place() had no room, the post that made some came before whenRoom() was called.
    // Fix: whenRoom() resolves at once when something was posted since the refusal.
    const disk = newSimDisk();
    const store = await openSmall(disk, smallConfig('SSD_VALUE_STORE'));
    for (let at = 0; at < 40; at++) {
      const keys = [0, 1, 2].map((n) => `key-${at}-${n}`);
      await store.batchPut(
        keys,
        keys.map((_, n) => bytesOf(n, 50 + ((at * 331) % 1900))),
      );
    }
    assert.equal(store.size, 120);
    await store.close();
  });

  it('throws from getSync when the record is damaged', async () => {
    // Symptom: getSync() gave undefined and the process ended with an uncaught error.
    // Cause: the error was thrown in the handler of the completion.
    // Fix: it is kept and thrown to the caller.
    const small = await makeSmallStore('SSD_VALUE_STORE', true);
    const disk = small.copy();
    const values = small.bytesOf('values');
    const at = Buffer.from(values).indexOf(
      (small.states.at(-1)?.get('last') as Buffer).subarray(8),
    );
    disk.flipBit('values', at, 0);
    const store = await openSmall(disk, small.config);
    assert.throws(
      () => store.getSync('last'),
      (error: unknown) =>
        isCairnError(error, 'CAIRN_CORRUPTION') && error.file === 'values' && error.offset! > 0,
    );
    assert.equal(store.getSync('absent'), undefined);
    await abandon(disk, store);
  });

  it('does not begin anew beside the files of a store without a manifest', async () => {
    // Symptom: a store whose MANIFEST was lost came up empty and wrote over its files.
    // Cause: a missing manifest alone was taken for a new store.
    // Fix: files that a manifest always precedes refuse the open.
    for (const type of ['SSD_VALUE_STORE', 'DRAM_VALUE_STORE'] as const) {
      const small = await makeSmallStore(type, true);
      const disk = small.copy();
      disk.removeFile('MANIFEST');
      await assert.rejects(openSmall(disk, small.config), { code: 'CAIRN_CORRUPTION' });
    }
  });

  it('refuses a log segment that is shorter than its header says', async () => {
    // Symptom: acknowledged writes were gone after a segment file lost its end.
    // Cause: the rest of the file was taken for a torn tail.
    // Fix: a segment is as long as it will ever be before its header is written.
    const small = await makeSmallStore('SSD_VALUE_STORE', false);
    const contents = small.states.at(-1) as Contents;
    let refused = 0;
    for (const name of small.fileNames().filter((file) => file.startsWith('log-'))) {
      const disk = small.copy();
      disk.writeFile(name, small.bytesOf(name).slice(0, 16384));
      try {
        const store = await openSmall(disk, small.config);
        // A segment before the checkpoint is not needed.
        assert.equal(store.size, contents.size, name);
        await abandon(disk, store);
      } catch (error) {
        assert.ok(isCairnError(error, 'CAIRN_CORRUPTION'), String(error));
        refused++;
      }
    }
    assert.ok(refused > 0);
  });

  it('opens any number of stores in memory one after the other', async () => {
    // Symptom: after some 130 opens the system granted no addresses any more.
    // Cause: each took 1 TiB of the 128 that a process has, until the collector came by.
    // Fix: as many addresses as the capacity can need.
    for (let at = 0; at < 400; at++) {
      const disk = newSimDisk();
      const store = await openSmall(disk, smallConfig('DRAM_VALUE_STORE'));
      store.putSync('key', 'value');
      await abandon(disk, store);
      disk.release();
    }
  }).timeout(60_000);

  it('notes what is durable once the log is at rest, and writes nothing under load', () =>
    withDirectory(async (directory) => {
      const path = join(directory, 'store');
      const store = await open(path);
      await store.put('key', 'value');
      const bound = async (): Promise<number> => {
        // Of the newer root: generation at 32, durable sequence at 56.
        const bytes = await readFile(join(path, 'MANIFEST'));
        const roots = [bytes, bytes.subarray(32768)];
        const newer = roots[0]!.readBigUInt64LE(32) > roots[1]!.readBigUInt64LE(32) ? 0 : 1;
        return Number(roots[newer]!.readBigUInt64LE(56));
      };
      // Never at rest for a second, and far from a checkpoint, which notes it as well.
      for (let at = 0; at < 150; at++) {
        await store.put('key', 'value');
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      assert.equal(await bound(), 0);
      await new Promise((resolve) => setTimeout(resolve, 3000));
      assert.equal(await bound(), store.durableSequence);
      await store.close();
    }));

  it('refuses a values file that is gone or blank although the store has been used', async () => {
    // Symptom: a values file that was cut below a page got a new header, and reads failed.
    // Cause: a file without a header was taken for one that a crash kept from getting it.
    // Fix: the first segment of the log and the second manifest come after the header.
    for (const closed of [true, false]) {
      const small = await makeSmallStore('SSD_VALUE_STORE', closed);
      const bytes = small.bytesOf('values');
      for (const length of [undefined, 0, 512, 4095, 4096]) {
        const disk = small.copy();
        if (length === undefined) disk.removeFile('values');
        else
          disk.writeFile(
            'values',
            length === 4096 ? new Uint8Array(length) : bytes.slice(0, length),
          );
        for (const pass of [1, 2]) {
          await assert.rejects(
            openSmall(disk, small.config),
            { code: 'CAIRN_CORRUPTION' },
            `${pass}`,
          );
        }
      }
    }
  });

  it('refuses a values file that ends before a slot that the index names', async () => {
    // Symptom: a store with half of its values file opened as if nothing were missing.
    // Cause: nobody compared the places that the index names with the length of the file.
    // Fix: a slot that the log does not carry lies within the file, or open says that it is damaged.
    for (const closed of [true, false]) {
      const small = await makeSmallStore('SSD_VALUE_STORE', closed);
      const bytes = small.bytesOf('values');
      const last = bytes.findLastIndex((byte) => byte !== 0);
      const disk = small.copy();
      disk.writeFile('values', bytes.slice(0, last - (last % 4096)));
      const opened = openSmall(disk, small.config).then(async (store) => {
        // Only records that the log carries were lost: they are there again.
        assert.equal((await store.verify()).damagedCount, 0);
        await abandon(disk, store);
        throw new Error('complete');
      });
      await assert.rejects(opened, (error) =>
        closed ? isCairnError(error, 'CAIRN_CORRUPTION') : error instanceof Error,
      );
      disk.writeFile('values', bytes.slice(0, 2 ** 20));
      await assert.rejects(openSmall(disk, small.config), { code: 'CAIRN_CORRUPTION' });
    }
  });

  it('says why it cannot run where external buffers are refused', () => {
    // Symptom: a runtime without external buffers ended in an error without a code.
    // Cause: nobody asked before the index wrapped its memory.
    // Fix: loading the addon asks.
    assert.equal(addon().externalBuffers(), true);
    assert.doesNotThrow(() => refuseWithoutExternalBuffers(addon()));
    assert.throws(() => refuseWithoutExternalBuffers({ externalBuffers: () => false }), {
      code: 'CAIRN_UNSUPPORTED',
      message: /external ArrayBuffers/,
    });
  });

  it('reads a store in memory by copies when a region is refused', async () => {
    const exports = addon() as { NativeMemorySlots: NativeMemorySlotsConstructor };
    const Native = exports.NativeMemorySlots;
    exports.NativeMemorySlots = class extends Native {
      override region(): undefined {
        return undefined;
      }
    };
    try {
      await withStore({ value: { type: 'DRAM_VALUE_STORE' } }, async (store) => {
        await store.put('key', 'value');
        await store.put('other', bytesOf(1, 100_000));
        assert.equal(store.getSync('key')?.toString(), 'value');
        assert.deepEqual(await store.get('other'), bytesOf(1, 100_000));
        assert.equal(store.getSync('absent'), undefined);
        await store.delete('key');
        assert.equal(store.getSync('key'), undefined);
      });
    } finally {
      exports.NativeMemorySlots = Native;
    }
  });

  for (const type of ['SSD_VALUE_STORE', 'DRAM_VALUE_STORE']) {
    it(`takes a checkpoint that is gone for damage: ${type}`, () =>
      withDirectory(async (directory) => {
        // Symptom: CAIRN_NOT_FOUND ("there is no store at the path"), from repair as well.
        // Cause: the error of opening the file was handed on.
        // Fix: what the manifest names is there, or the store is damaged.
        const path = join(directory, 'store');
        const store = await open(path, { value: { type } });
        await store.put('old', 'v');
        await store.checkpoint();
        await store.close();
        const [checkpoint] = (await readdir(path)).filter((name) => name.startsWith('checkpoint-'));
        await rm(join(path, checkpoint as string));
        const damaged = (error: unknown): boolean =>
          isCairnError(error, 'CAIRN_CORRUPTION') && error.file === checkpoint;
        await assert.rejects(open(path), damaged);
        await assert.rejects(open(path, { read_only: true }), damaged);
        const report = await repair(path, join(directory, 'saved'));
        assert.equal(report.entries, 0);
        assert.deepEqual(
          report.damaged.map(({ file }) => file),
          [checkpoint],
        );
      }));
  }

  it('says that a directory may not be made, not that it is not there', () =>
    withDirectory(async (directory) => {
      // Symptom: CAIRN_NOT_FOUND with ENOENT when a store was to be made below a directory of others.
      // Cause: what mkdir refused was left to opening, which finds nothing.
      // Fix: the refusal is kept for a directory that is not there.
      await chmod(directory, 0o555);
      const root = process.geteuid?.() === 0;
      if (root) process.seteuid?.(65_534);
      try {
        for (const path of [join(directory, 'store'), join(directory, 'no', 'store')]) {
          const refused = (error: unknown): boolean =>
            isCairnError(error, 'CAIRN_IO') &&
            (error.cause as { errno: string }).errno === 'EACCES';
          await assert.rejects(open(path), refused);
        }
      } finally {
        if (root) process.seteuid?.(0);
        await chmod(directory, 0o755);
      }
    }));

  it('names no checkpoint in the manifest whose own name a failed sync of the directory covered', async () => {
    // Symptom: after one failed sync of the directory and a power cut the store did not open. No call
    // had failed, and checkpoint() had resolved.
    // Cause: that sync was of a log segment that was being made; it covered the rename of RESERVE to
    // the next checkpoint, and the checkpoint's own sync succeeded without it.
    // Fix: a failed sync of the directory is final for all who make names in it.
    let failed = 0;
    for (const [type, count] of [
      ['SSD_VALUE_STORE', 30],
      ['DRAM_VALUE_STORE', 160],
    ] as const) {
      for (const [nth, ticks, seed] of [
        [1, 0, 1],
        [1, 0, 3],
        [2, 2, 3],
        [2, 4, 4],
      ] as const) {
        const disk = newSimDisk({ record: true, reorder: true, seed });
        const open = (on = disk) => settled('open', openSmall(on, smallConfig(type)));
        const store = await open();
        const run = new FaultyRun(store, ['CAIRN_IO'], new Expectations());
        for (let at = 0; at < 4; at++) await run.put(`key-${at}`, 100);
        await run.checkpoint();
        disk.inject({ operation: 'syncDirectory', nth });
        // Segments are made beside the checkpoint.
        const calls = Array.from({ length: count }, (_, at) => run.put(`key-${at}`, 1900));
        for (let tick = 0; tick < ticks; tick++) await new Promise<void>(process.nextTick);
        await Promise.all([...calls, run.checkpoint()]);
        disk.clearFaults();
        const after = disk.crash(disk.eventCount, { kind: 'none' });
        const again = await open(after);
        run.expected.check(again, `${type}, the sync number ${nth}, seed ${seed}`);
        await again.close();
        after.release();
        // No call waits for ever for a segment or a checkpoint that cannot be.
        for (let at = 0; at < 2 * count; at++) await run.put(`key-${at}`, 1900);
        if (run.failures.length > 0) failed++;
        await run.attempt('close', () => store.close());
        const reopened = await open();
        run.expected.check(reopened, `${type}, reopened`);
        await reopened.put('after', 'x');
        await reopened.close();
        disk.release();
      }
    }
    assert.ok(failed > 0);
  });

  it('makes names anew that a failed sync of the directory left behind when a store was made', async () => {
    // Symptom: open() failed once, succeeded the second time, and after a power cut the store was gone.
    // Cause: the second one found MANIFEST, values and index there and synced the directory, which
    // succeeded without the names that the failed sync had covered.
    // Fix: a new file whose name cannot be made durable is removed.
    let failed = 0;
    for (const type of ['SSD_VALUE_STORE', 'DRAM_VALUE_STORE'] as const) {
      for (const index of ['DRAM_PET_HASH', 'SSD_EXTENDIBLE_HASH']) {
        for (let nth = 1; nth <= 6; nth++) {
          const disk = newSimDisk({ record: true });
          const config = smallConfig(type, { index: { type: index } });
          disk.inject({ operation: 'syncDirectory', nth });
          await openSmall(disk, config).then(
            (store) => abandon(disk, store),
            () => failed++,
          );
          disk.clearFaults();
          disk.stopAt(0xffffffff);
          const store = await openSmall(disk, config);
          await store.put('small', 'value');
          await store.put('large', bytesOf(1, 5000));
          await store.checkpoint();
          await store.put('last', 'value');
          const after = disk.crash(disk.eventCount, { kind: 'none' });
          const again = await openSmall(after, config);
          assert.equal(again.size, 3, `${type}, ${index}, the sync number ${nth}`);
          await again.close();
          await store.close();
          after.release();
          disk.release();
        }
      }
    }
    assert.ok(failed > 8);
  });

  it('ends what reads pages of an index on the device when the store is closed', async () => {
    // Symptom: verify(), iteration or get() that was under way in close() never settled.
    // Cause: whoever waited for a page when the index was closed, or asked for one later, was forgotten.
    // Fix: they hear that it is closed.
    let ended = 0;
    for (const type of ['SSD_VALUE_STORE', 'DRAM_VALUE_STORE'] as const) {
      const config = smallConfig(type, { index: { type: 'SSD_EXTENDIBLE_HASH' } });
      for (let ticks = 0; ticks < 12; ticks++) {
        const disk = newSimDisk({ reorder: true, seed: ticks });
        const store = await openSmall(disk, config);
        for (let at = 0; at < 100; at++) await store.put(`key-${at}`, bytesOf(at, 50));
        const walk = async (): Promise<void> => {
          for await (const [key] of store.entries()) assert.ok(key.toString().startsWith('key-'));
        };
        const calls: Promise<unknown>[] = [
          store.verify().then(({ damagedCount }) => assert.equal(damagedCount, 0)),
          walk(),
          ...Array.from({ length: 40 }, (_, at) => store.get(`key-${at}`)),
        ];
        for (const call of calls) call.catch(() => undefined);
        for (let tick = 0; tick < ticks; tick++) await new Promise<void>(process.nextTick);
        const closed = store.close();
        for (const call of calls) {
          await settled('a call under way', call).catch((error: unknown) => {
            assert.ok(isCairnError(error, 'CAIRN_CLOSED'), String(error));
            ended++;
          });
        }
        await settled('close', closed);
        disk.release();
      }
    }
    assert.ok(ended > 0);
  });

  it('takes a putSync on a device with space again at every moment of a checkpoint', async () => {
    // Symptom: CAIRN_NO_SPACE on a device with space, where put() went on.
    // Cause: while the reserve becomes a checkpoint, or is opened, it cannot be made longer at once, and
    // only hold() left that to the end of the checkpoint.
    // Fix: holdSync() does as well, and opens it itself.
    const full = { code: 'CAIRN_NO_SPACE' };
    for (let ticks = 0; ticks < 60; ticks++) {
      const disk = newSimDisk();
      const store = await openSmall(disk, smallConfig('DRAM_VALUE_STORE'));
      const fill = async (): Promise<void> => {
        for (let at = 0; at < 400; at++) await store.batchPut([`key-${at}`], [bytesOf(at, 5000)]);
      };
      disk.setCapacity(1);
      await assert.rejects(fill(), full);
      assert.throws(() => store.putSync('now', 'there is none'), full);
      disk.setCapacity(0);
      const checkpoint = store.checkpoint();
      for (let tick = 0; tick < ticks; tick++) await new Promise<void>(process.nextTick);
      store.putSync('now', `there is some after ${ticks}`);
      await checkpoint;
      assert.equal(String(await store.get('now')), `there is some after ${ticks}`);
      await store.close();
      disk.release();
    }
  });
});
