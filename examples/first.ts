// node --import tsx examples/first.ts [directory]: run it again and the count goes on.
import { open, type Store } from 'cairn-kv';

const store: Store = await open(process.argv[2] ?? '/tmp/cairn-first');

const visits = Number(await store.get('visits')) || 0;
await store.put('visits', String(visits + 1)); // Resolves when it survives power loss.
await store.put('user:ann', JSON.stringify({ name: 'Ann', since: 2024 }));
await store.batchPut(['a', 'b'], ['one', 'two']); // All of it or nothing.

console.log('visits:', String(await store.get('visits')));
console.log('ann:', JSON.parse(String(await store.get('user:ann'))));
console.log('absent:', await store.get('nobody'), 'keys:', store.size);
for await (const key of store.keys({ keyEncoding: 'utf8' })) console.log('key:', key);
await store.close();
