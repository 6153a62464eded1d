import assert from 'node:assert/strict';
import type { CrashChoice, SimDisk, SimFault } from '../../../ts/bindings/addon.js';
import { isCairnError } from '../../../ts/common/errors.js';
import { resolveConfig } from '../../../ts/config/resolve.js';
import { openWithFileSet } from '../../../ts/engine/open.js';
import type { Store } from '../../../ts/index.js';
import { settled } from '../../support/robustness/faults.js';
import {
  INLINE_BYTES,
  openSmall,
  smallConfig,
  type ValueType,
} from '../../support/robustness/small-stores.js';
import { MemoryDisks } from '../../support/memory-disks.js';
import { bytesOf } from '../../support/stores.js';

const TUNING = { runBytes: 16 * 1024, dirtyBytesMax: 128 * 1024, reserveBytesMax: 64 * 1024 };

const recorded = (): MemoryDisks => new MemoryDisks({ record: true });

async function openOn(disks: MemoryDisks, path: string, valueType: ValueType): Promise<Store> {
  const segmentBytes = valueType === 'DRAM_VALUE_STORE' ? 160 * 1024 : 32 * 1024;
  const document = {
    path,
    value: { type: valueType },
    log: { inline_value_bytes: INLINE_BYTES },
    io: { type: 'MEMORY' },
  };
  const config = resolveConfig(document, undefined, { names: disks.registry.allNames() });
  return openWithFileSet(disks.files(path), config, disks.registry, {
    ...TUNING,
    logSegmentBytes: segmentBytes,
    logCapacityBytes: 8 * segmentBytes,
    logGroupBytes: 16 * 1024,
    cacheBytes: 32 * 1024,
  });
}

/** Values in the log, in slots, overwritten and deleted ones. */
async function fill(store: Store): Promise<void> {
  for (let at = 0; at < 12; at++) await store.put(`key-${at % 8}`, bytesOf(at, 40 + at * 150));
  await store.put('large', bytesOf(99, 5000));
  await store.delete('key-1');
}

async function contentsOf(store: Store): Promise<Map<string, string>> {
  const contents = new Map<string, string>();
  for await (const [key, value] of store.entries({ keyEncoding: 'utf8' })) {
    contents.set(String(key), value.toString('hex'));
  }
  return contents;
}

/** The contents when it is a store, undefined when it says that it is none. */
async function openCopy(
  disk: SimDisk,
  valueType: ValueType,
): Promise<Map<string, string> | undefined> {
  const config = { ...smallConfig(valueType), createIfMissing: false };
  let store: Store;
  try {
    store = await settled('open', openSmall(disk, config));
  } catch (error) {
    assert.ok(isCairnError(error, 'CAIRN_NOT_FOUND'), String(error));
    assert.ok(!disk.fileNames().includes('MANIFEST'));
    return undefined;
  }
  try {
    return await contentsOf(store);
  } finally {
    await store.close();
  }
}

const CHOICES: readonly CrashChoice[] = [
  { kind: 'all' },
  { kind: 'none' },
  { kind: 'kill', seed: 3 },
  ...[1, 2, 3, 4].map((seed): CrashChoice => ({ kind: 'random', seed })),
];
/** Up to so many free units each combination is a choice: of two names the one or the other. */
const ALL_OF_UNITS = 5;

function choicesAt(disk: SimDisk, point: number): readonly CrashChoice[] {
  const units = disk.freeBits(point, 512);
  if (units > ALL_OF_UNITS) return CHOICES;
  const masks = Array.from({ length: 2 ** units }, (_, mask) => ({ kind: 'mask', mask }) as const);
  return [...CHOICES, ...masks];
}

for (const valueType of ['SSD_VALUE_STORE', 'DRAM_VALUE_STORE'] as const) {
  describe(`a backup that is cut off: ${valueType}`, function () {
    this.timeout(120_000);

    it('is whole or no store at any moment of a power cut or a kill', async () => {
      const disks = recorded();
      const store = await openOn(disks, '/store', valueType);
      await fill(store);
      const wanted = await contentsOf(store);
      await store.backup('/backup');
      const target = disks.disk('/backup');
      const seen = { whole: 0, none: 0 };
      for (let point = 0; point <= target.eventCount; point++) {
        for (const choice of choicesAt(target, point)) {
          const after = target.crash(point, choice);
          const found = await openCopy(after, valueType);
          if (found === undefined) seen.none++;
          else {
            assert.deepEqual(found, wanted, `at ${point}, ${JSON.stringify(choice)}`);
            seen.whole++;
          }
          after.release();
        }
      }
      assert.ok(seen.none > 100 && seen.whole >= CHOICES.length, JSON.stringify(seen));
      // What the promise said is durable.
      for (const kind of ['none', 'all'] as const) {
        const after = target.crash(target.eventCount, { kind });
        assert.deepEqual(await openCopy(after, valueType), wanted);
        after.release();
      }
      await store.close();
      disks.release();
    });

    const faults: readonly Omit<SimFault, 'nth'>[] = [
      { operation: 'open', errno: 'EMFILE' },
      { operation: 'write' },
      { operation: 'write', errno: 'ENOSPC' },
      { operation: 'write', effect: 'torn' },
      { operation: 'sync' },
      { operation: 'syncDirectory' },
      { operation: 'rename' },
      { operation: 'read' },
      { operation: 'read', effect: 'misplaced' },
    ];
    for (const fault of faults) {
      const { operation, errno = 'EIO', effect = 'error' } = fault;
      it(`fails whole when the n-th ${operation} of the target does: ${errno}, ${effect}`, async () => {
        let failed = 0;
        for (const sticky of [false, true]) {
          for (let nth = 1; nth < 100; nth++) {
            const disks = recorded();
            const store = await openOn(disks, '/store', valueType);
            await fill(store);
            const wanted = await contentsOf(store);
            const target = disks.disk('/backup');
            target.inject({ ...fault, nth, sticky });
            let error: unknown;
            await settled('backup', store.backup('/backup')).catch((e: unknown) => (error = e));
            target.clearFaults();
            if (error !== undefined) {
              failed++;
              const space = errno === 'ENOSPC' ? ['CAIRN_NO_SPACE'] : [];
              const damage = operation === 'read' ? ['CAIRN_CORRUPTION'] : [];
              assert.ok(isCairnError(error));
              assert.ok(['CAIRN_IO', ...space, ...damage].includes(error.code), error.code);
              // Nothing is there, or nothing that would be taken for a store.
              assert.deepEqual(target.fileNames(), []);
            } else {
              assert.deepEqual(await openCopy(target, valueType), wanted);
            }
            // The store itself has not noticed, and a second try succeeds.
            await store.put('after', 'x');
            if (error !== undefined) await settled('again', store.backup('/backup-2'));
            await store.close();
            disks.release();
            if (error === undefined && nth > 3) break;
          }
        }
        // A log without records since the checkpoint is not read back.
        assert.ok(failed > 0 || operation === 'read');
      });
    }

    it('fails when the source cannot be read, and the source goes on', async () => {
      let failed = 0;
      for (const effect of ['error', 'misplaced'] as const) {
        for (let nth = 1; nth < 40; nth++) {
          const disks = recorded();
          const store = await openOn(disks, '/store', valueType);
          await fill(store);
          const wanted = await contentsOf(store);
          disks.disk('/store').inject({ operation: 'read', effect, nth });
          let error: unknown;
          await settled('backup', store.backup('/backup')).catch((e: unknown) => (error = e));
          disks.disk('/store').clearFaults();
          if (error === undefined) {
            assert.deepEqual(await openCopy(disks.disk('/backup'), valueType), wanted);
          } else {
            failed++;
            assert.ok(isCairnError(error) && /CAIRN_(IO|CORRUPTION)/.test(error.code));
            assert.deepEqual(disks.disk('/backup').fileNames(), []);
          }
          assert.deepEqual(await contentsOf(store), wanted);
          await store.put('after', 'x');
          await store.close();
          disks.release();
          if (error === undefined) break;
        }
      }
      assert.ok(failed > 0);
    });
  });
}
