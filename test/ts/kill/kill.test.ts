import assert from 'node:assert/strict';
import { join } from 'node:path';
import { open } from '../../../ts/index.js';
import { killCycle, newHistory } from '../../support/kill/cycle.js';
import { withDirectory, withSharedMemory } from '../../support/stores.js';

const CYCLES = 8; // per backend and level: 32 in all

// Fault model F1: a process dies anywhere; acknowledged writes at `process` and above stay.
describe('a process killed under load', function () {
  this.timeout(120_000);
  for (const io of ['IOURING', 'POSIX'] as const) {
    for (const level of ['sync', 'process'] as const) {
      it(`loses no acknowledged write: ${io}, ${level}, ${CYCLES} kills`, () =>
        withDirectory(async (directory) => {
          const history = newHistory();
          for (let cycle = 0; cycle < CYCLES; cycle++) {
            const killAfterMs = (cycle * 37) % 120;
            await killCycle(history, { path: join(directory, 'store'), io, level, killAfterMs });
          }
        }));
    }
  }

  it(`loses no acknowledged write: SSD_BUDDY, ${CYCLES} kills`, () =>
    withDirectory(async (directory) => {
      const path = join(directory, 'store');
      const history = newHistory();
      const value = { ssd_allocator: { type: 'SSD_BUDDY' } };
      // As the writer opens it.
      const log = { capacity_bytes: 4 << 20, segment_bytes: 1 << 20 };
      await (await open(path, { value, log })).close();
      for (let cycle = 0; cycle < CYCLES; cycle++) {
        const level = cycle % 2 === 0 ? 'process' : 'sync';
        const killAfterMs = (cycle * 37) % 120;
        await killCycle(history, { path, io: 'IOURING', level, killAfterMs });
      }
    }));

  it(`loses no acknowledged write: SSD_EXTENDIBLE_HASH, ${CYCLES} kills`, () =>
    withDirectory(async (directory) => {
      const path = join(directory, 'store');
      const history = newHistory();
      const index = { type: 'SSD_EXTENDIBLE_HASH', cache_bytes: 256 * 1024 };
      await (await open(path, { index, log: { segment_bytes: 1 << 20 } })).close();
      for (let cycle = 0; cycle < CYCLES; cycle++) {
        await killCycle(history, {
          path,
          io: cycle % 3 === 0 ? 'POSIX' : 'IOURING',
          level: cycle % 2 === 0 ? 'process' : 'sync',
          killAfterMs: (cycle * 37) % 120,
          inspect: (store) => assert.equal(store.stats().index.type, 'SSD_EXTENDIBLE_HASH'),
        });
      }
    }));

  it(`loses no acknowledged write of a tiered store: ${CYCLES} kills`, () =>
    withDirectory(async (directory) => {
      const path = join(directory, 'store');
      const history = newHistory();
      const value = {
        type: 'TIERED_VALUE_STORE',
        dram_allocator: { capacity_bytes: 2 << 20 },
      };
      await (await open(path, { value, log: { segment_bytes: 1 << 20 } })).close();
      for (let cycle = 0; cycle < CYCLES; cycle++) {
        await killCycle(history, {
          path,
          io: cycle % 3 === 0 ? 'POSIX' : 'IOURING',
          level: cycle % 2 === 0 ? 'process' : 'sync',
          killAfterMs: (cycle * 37) % 120,
          inspect: (store) => assert.notEqual(store.stats().values.tier, undefined),
        });
      }
    }));

  for (const type of ['PERSIST_LOOP_SLAB', 'PERSIST_MEMORY_POOL']) {
    it(`finds its values again in memory: ${type}, ${CYCLES} kills`, function () {
      return withSharedMemory(this, (shared) =>
        withDirectory(async (directory) => {
          const path = join(directory, 'store');
          const history = newHistory();
          let adopted = 0;
          const value = { type: 'DRAM_VALUE_STORE', path: shared, dram_allocator: { type } };
          // As the writer opens it.
          const log = { capacity_bytes: 4 << 20, segment_bytes: 1 << 20 };
          await (await open(path, { value, log })).close();
          for (let cycle = 0; cycle < CYCLES; cycle++) {
            await killCycle(history, {
              path,
              io: 'IOURING',
              level: cycle % 2 === 0 ? 'process' : 'sync',
              killAfterMs: (cycle * 37) % 120,
              inspect: (store) => {
                const { pool } = store.stats().values;
                assert.equal(pool?.dropped, 0);
                adopted += pool?.adopted ?? 0;
              },
            });
          }
          // What the log still holds is not looked for: the first cycles have no checkpoint.
          assert.ok(adopted > 0, 'nothing was found');
        }),
      );
    });
  }
});
