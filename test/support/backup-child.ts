/** Says that it begins, and makes a backup: to be killed meanwhile. */
import { writeSync } from 'node:fs';
import { open } from '../../ts/index.js';

const [path = '', target = ''] = process.argv.slice(2);
const store = await open(path, { lock_timeout_ms: 5000 });
writeSync(1, 'begins\n');
await store.backup(target);
await store.close();
