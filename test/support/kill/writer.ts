/**
 * A process that writes until it is killed, what the first line of its input says. Says on stdout
 * what it is about to do and what was acknowledged, one line each: `I <group> <version>` and
 * `A <group> <version>`; `R` when the store is open.
 *
 * Group g is one key (`k<g>`), or, every eighth, three keys written as one batch. Version v is a
 * delete when v % 5 is 4, else a put of valueOf(g, v).
 */
import { once } from 'node:events';
import { writeSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { open, type BatchOperation, type DurabilityLevel } from '../../../ts/index.js';
import { isDelete, keysOf, valueOf } from './history.js';
import { LOG } from './kinds.js';

interface WriterArguments {
  readonly path: string;
  readonly io: string;
  readonly level: DurabilityLevel;
  readonly groups: number;
  readonly writers: number;
  /** First version of each group. */
  readonly versions: readonly number[];
}

const FULL = new Int32Array(new SharedArrayBuffer(4));

/** Waits while the pipe is full: whoever reads it may be busy. */
function say(text: string): void {
  let rest = Buffer.from(`${text}\n`);
  while (rest.length > 0) {
    try {
      rest = rest.subarray(writeSync(1, rest));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
      Atomics.wait(FULL, 0, 0, 1);
    }
  }
}

async function main(): Promise<void> {
  // Nothing comes when whoever started it has ended: then it ends as well.
  const [line] = (await once(createInterface({ input: process.stdin }), 'line')) as [string];
  const { path, io, level, groups, writers, versions } = JSON.parse(line) as WriterArguments;

  const store = await open(path, {
    io: { type: io },
    durability: level,
    log: LOG,
    lock_timeout_ms: 5000,
  });
  say('R');

  async function write(group: number, version: number): Promise<void> {
    say(`I ${group} ${version}`);
    const keys = keysOf(group);
    if (keys.length > 1) {
      await store.batch(
        keys.map((key): BatchOperation =>
          isDelete(version)
            ? { type: 'delete', key }
            : { type: 'put', key, value: valueOf(group, version) },
        ),
      );
    } else if (isDelete(version)) await store.delete(keys[0] as string);
    else await store.put(keys[0] as string, valueOf(group, version));
    say(`A ${group} ${version}`);
  }

  await Promise.all(
    Array.from({ length: writers }, async (_, writer) => {
      for (let round = 0; ; round++) {
        for (let group = writer; group < groups; group += writers) {
          await write(group, (versions[group] as number) + round);
        }
      }
    }),
  );
}

void main();
