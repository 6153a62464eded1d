// In the guest: puts of some kinds, each between two lines that say so. Plain JavaScript over dist,
// because a compiler takes a minute on an emulated processor.
import { spawnSync } from 'node:child_process';
import {
  closeSync,
  fdatasyncSync,
  openSync,
  readFileSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';

const QUIET_MS = 1500;
const TRACE = '/sys/kernel/tracing/trace';
/** Of a request as the kernel gives it to the driver: a write with FUA. */
const FUA_WRITE = /block_rq_issue: \S+ F?WF/g;
const [entry, path, markOffset] = process.argv.slice(2);
const { open } = await import(pathToFileURL(entry).href);
const store = await open(path, { durability: 'sync' });

/** Of version v: v in the first four bytes, and as often as it takes. */
function valueOf(version) {
  const value = Buffer.alloc(1000, version & 0xff);
  value.writeUInt32LE(version, 0);
  return value;
}
let version = 0;

/** What a store does behind its puts must not be counted. */
async function quiet() {
  await store.flush();
  await store.checkpoint();
  await sleep(QUIET_MS);
  // What the file system has to write of its own.
  spawnSync('sync');
}

async function phase(name, puts, put) {
  await quiet();
  const { groups } = store.stats().log;
  console.log(`begin ${name} ${puts}`);
  await sleep(QUIET_MS);
  writeFileSync(TRACE, '');
  await put(puts);
  const fua = readFileSync(TRACE, 'utf8').match(FUA_WRITE)?.length ?? 0;
  await sleep(QUIET_MS);
  console.log(`end ${name} ${store.stats().log.groups - groups} ${fua}`);
  // Nothing is written until the host has read that line: it has the time at which it is read.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, QUIET_MS);
}

async function oneByOne(puts, durability) {
  for (let i = 0; i < puts; i++) await store.put(`key-${i}`, valueOf(++version), { durability });
}

async function together(puts) {
  await Promise.all(
    Array.from({ length: puts }, (_, i) => store.put(`key-${i}`, valueOf(++version))),
  );
}

/**
 * Says on the device itself, behind the file system, up to which version all is acknowledged: the log of
 * the device then has that between the writes of the store.
 */
async function marked(rounds, together) {
  const device = openSync('/dev/nvme0n1', 'r+');
  const mark = Buffer.alloc(4096);
  for (let key = 0; key < rounds * together; key += together) {
    await Promise.all(
      Array.from({ length: together }, (_, i) => store.put(`key-${key + i}`, valueOf(++version))),
    );
    mark.writeUInt32LE(version, 0);
    writeSync(device, mark, 0, mark.length, Number(markOffset));
    fdatasyncSync(device);
  }
  closeSync(device);
}

await oneByOne(8, 'sync');
await phase('sync', 32, (puts) => oneByOne(puts, 'sync'));
await phase('process', 32, (puts) => oneByOne(puts, 'process'));
await phase('together', 128, together);
await marked(16, 4);
await store.close();
