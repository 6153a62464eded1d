// node examples/feature-store.mjs: rows of 64 floats for a million items, gathered by the batch into
// one array that a model can take as it is.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { open } from 'cairn-kv';

const ITEMS = 1_000_000;
const WIDTH = 64;
const BATCH = 1024;
const ROW_BYTES = WIDTH * Float32Array.BYTES_PER_ELEMENT;

const directory = await mkdtemp(join(tmpdir(), 'cairn-features-'));
const store = await open(directory, {
  key: { type: 'u64' },
  value: { type: 'DRAM_VALUE_STORE', default_value_size_hint: ROW_BYTES },
});

const keys = BigUint64Array.from({ length: ITEMS }, (_, i) => BigInt(i));
const rows = new Float32Array(ITEMS * WIDTH).map((_, i) => i % 1000);
console.time('load');
await store.bulkLoad({ keys, rows, rowBytes: ROW_BYTES });
console.timeEnd('load');

const wanted = BigUint64Array.from({ length: BATCH }, () => BigInt((Math.random() * ITEMS) | 0));
wanted[3] = 123_456_789_012n; // Nobody has it: its row is zeros.
const features = new Float32Array(BATCH * WIDTH);
const begin = performance.now();
const { missing, missingIndexes } = await store.batchGetInto(wanted, features, ROW_BYTES);
const milliseconds = performance.now() - begin;
console.log(
  `${BATCH} rows in ${milliseconds.toFixed(2)} ms; missing ${missing}: ${missingIndexes}`,
);
console.log('item', wanted[0], 'begins', features.subarray(0, 4));

await store.close();
await rm(directory, { recursive: true });
