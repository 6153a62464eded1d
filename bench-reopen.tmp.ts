import { open } from './ts/index.js';
import { mkdtempSync, rmSync } from 'node:fs';
const N = 1_000_000,
  ROW = 512;
const keys = BigUint64Array.from({ length: N }, (_, i) => BigInt(i));
const rows = new Uint8Array(N * ROW).fill(7);
for (const [type, withPool] of [
  ['CONCURRENT_SLAB_MEMORY_POOL', false],
  ['PERSIST_LOOP_SLAB', false],
  ['PERSIST_LOOP_SLAB', true],
  ['PERSIST_MEMORY_POOL', true],
] as const) {
  const dir = mkdtempSync('/tmp/dabench/s-');
  const shm = mkdtempSync('/dev/shm/cairn-bench-');
  const value = {
    type: 'DRAM_VALUE_STORE',
    dram_allocator: { type },
    ...(withPool ? { path: shm } : {}),
  };
  let t = performance.now();
  const store = await open(dir + '/s', { key: { type: 'u64' }, value });
  await store.bulkLoad({ keys, rows, rowBytes: ROW });
  const load = performance.now() - t;
  t = performance.now();
  await store.checkpoint();
  const ckpt = performance.now() - t;
  await store.close();
  const times: number[] = [];
  for (let i = 0; i < 3; i++) {
    t = performance.now();
    const again = await open(dir + '/s');
    times.push(performance.now() - t);
    if (again.size !== N) throw new Error('lost');
    const p = again.stats().values.pool;
    if (withPool && p?.adopted !== N) throw new Error('not adopted');
    if (i === 2) {
      const want = BigUint64Array.from({ length: 1000 }, () =>
        BigInt(Math.floor(Math.random() * N)),
      );
      const out = new Uint8Array(1000 * ROW);
      let best = 1e9;
      for (let r = 0; r < 200; r++) {
        const b = performance.now();
        await again.batchGetInto(want, out, ROW);
        best = Math.min(best, performance.now() - b);
      }
      console.log('  gather of 1000 rows', best.toFixed(3), 'ms');
      const pt = performance.now();
      for (let r = 0; r < 50000; r++)
        void again.put(BigInt(r), rows.subarray(0, ROW), { durability: 'none' });
      console.log('  put none', (((performance.now() - pt) * 1000) / 50000).toFixed(2), 'us');
    }
    await again.close();
  }
  console.log(
    type,
    withPool ? 'pool' : 'no pool',
    'load',
    load.toFixed(0),
    'checkpoint',
    ckpt.toFixed(0),
    'open ms',
    times.map((x) => x.toFixed(0)).join(' '),
  );
  rmSync(dir, { recursive: true });
  rmSync(shm, { recursive: true });
}
