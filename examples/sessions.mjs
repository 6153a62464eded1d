// node examples/sessions.mjs: a session store that outlives the process, in front of nothing else.
// Losing the last 100 ms of a power cut is fine for sessions, so writes do not wait for the device;
// a logout does, for it must not come back.
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { open } from 'cairn-kv';

const SESSION_MS = 30 * 60 * 1000;
const directory = await mkdtemp(join(tmpdir(), 'cairn-sessions-'));
const store = await open(directory, { durability: { level: 'interval', interval_ms: 100 } });

async function login(user) {
  const id = randomUUID();
  await store.put(id, JSON.stringify({ user, expires: Date.now() + SESSION_MS }));
  return id;
}

async function find(id) {
  const stored = await store.get(id);
  if (stored === undefined) return undefined;
  const session = JSON.parse(stored);
  if (session.expires > Date.now()) return session;
  await store.delete(id);
  return undefined;
}

const logout = (id) => store.delete(id, { durability: 'sync' });

const ids = await Promise.all(Array.from({ length: 10_000 }, (_, i) => login(`user-${i}`)));
console.log('sessions:', store.size, 'first:', await find(ids[0]));
console.log('logged out:', await logout(ids[0]), 'now:', await find(ids[0]));
console.log('operations:', store.stats().operations);

await store.close();
await rm(directory, { recursive: true });
