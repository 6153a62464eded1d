// node --import tsx examples/extending/all.ts: a store in which everything is of one's own.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createRegistry, open } from 'cairn-kv';
import { registerAllocators } from './allocator.js';
import { calls, registerEngine } from './engine.js';
import { registerIo } from './io.js';
import { registerIndex } from './map-index.js';
import { registerValueStore } from './map-value-store.js';

const root = await mkdtemp(join(tmpdir(), 'cairn-extending-'));
const registry = createRegistry();
registerEngine(registry);
registerIndex(registry);
registerValueStore(registry);
registerAllocators(registry);
registerIo(registry, root);

const config = {
  engine_type: 'COUNTING_ENGINE',
  index: { type: 'MAP_INDEX' },
  value: {
    type: 'MAP_VALUE_STORE',
    dram_allocator: { type: 'DRAM_EIGHTHS', capacity_bytes: 64 << 20 },
  },
  io: { type: 'BELOW_ROOT' },
};
let store = await open('/users', config, { registry });
for (let n = 0; n < 1000; n++)
  await store.put(`user:${n % 700}`, `value ${n}`, { durability: 'process' });
await store.delete('user:1');
await store.close();

// What it was made with is in its manifest; what may differ at every open is said again.
store = await open('/users', { engine_type: 'COUNTING_ENGINE', io: config.io }, { registry });
console.log('keys:', store.size, 'user:0:', String(await store.get('user:0')));
console.log('index:', store.stats().index.type, 'puts:', calls.get('put'));
await store.close();
await rm(root, { recursive: true });
