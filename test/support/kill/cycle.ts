import { asError } from '../../../ts/common/errors.js';
import { open, type Store } from '../../../ts/index.js';
import { isAllowed, isDelete, keysOf, versionOf, type GroupHistory } from './history.js';
import { startWriter, type Writers } from './writers.js';

export const GROUPS = 96;
const WRITERS = 24;

export interface KillOptions {
  readonly path: string;
  readonly io: 'IOURING' | 'POSIX';
  readonly level: 'sync' | 'process';
  /** After the store was opened. */
  readonly killAfterMs: number;
  /** Cut as the process is killed, and restored before the store is opened: level sync only. */
  readonly power?: { cut(): void; restore(): void };
  /** Whose processes write; without it one is started for this cycle. */
  readonly writers?: Writers;
  /** Told of each acknowledgement. */
  readonly onAcknowledged?: (group: number, version: number) => void;
  /** Looks at the store that was opened after the kill. */
  readonly inspect?: (store: Store) => void;
}

export function newHistory(): GroupHistory[] {
  return Array.from({ length: GROUPS }, () => ({ acknowledged: -1, invoked: -1 }));
}

/**
 * Lets a process write, kills it, reopens the store and compares it with what was acknowledged.
 *
 * @param history of the store so far; updated to what it holds now.
 * @returns writes acknowledged in this cycle. Throws when one of them is lost or a value is wrong.
 */
export async function killCycle(history: GroupHistory[], options: KillOptions): Promise<number> {
  const acknowledged = await writeUntilKilled(history, options);
  options.power?.restore();
  const store = await open(options.path, { io: { type: options.io }, lock_timeout_ms: 5000 });
  try {
    for (const [group, known] of history.entries()) {
      const values = await store.batchGet(keysOf(group));
      const version = versionOf(group, values);
      if (!isAllowed(known, version)) {
        throw new Error(
          `group ${group}: found ${version === undefined ? 'nothing' : `version ${version}`}, ` +
            `acknowledged ${known.acknowledged}, invoked ${known.invoked}`,
        );
      }
      settle(known, version);
    }
    const report = await store.verify();
    if (report.damagedCount > 0) throw new Error(`damaged: ${JSON.stringify(report.damaged)}`);
    options.inspect?.(store);
  } finally {
    await store.close();
  }
  return acknowledged;
}

/** What was found is what counts from here on. */
function settle(known: GroupHistory, version: number | undefined): void {
  if (version !== undefined) known.acknowledged = version;
  else {
    let last = known.invoked;
    while (last >= 0 && !isDelete(last)) last--;
    known.acknowledged = Math.max(last, -1);
  }
}

/** @returns writes acknowledged before the process was killed; `history` has all of them. */
export function writeUntilKilled(history: GroupHistory[], options: KillOptions): Promise<number> {
  const { path, io, level, killAfterMs } = options;
  const versions = history.map(({ invoked }) => invoked + 1);
  const argument = JSON.stringify({ path, io, level, groups: GROUPS, writers: WRITERS, versions });
  return new Promise((resolve, reject) => {
    const child = options.writers?.take() ?? startWriter();
    child.stdin.write(`${argument}\n`);
    let rest = '';
    let errors = '';
    let count = 0;
    let killed = false;
    child.stderr.on('data', (data: Buffer) => (errors += data.toString()));
    child.stdout.on('data', (data: Buffer) => {
      const lines = (rest + data.toString()).split('\n');
      rest = lines.pop() as string;
      for (const line of lines) {
        const [kind, group, version] = line.split(' ');
        if (kind === 'R') {
          setTimeout(() => {
            killed = true;
            try {
              options.power?.cut();
            } catch (error) {
              reject(asError(error));
            }
            child.kill('SIGKILL');
          }, killAfterMs);
          continue;
        }
        const known = history[Number(group)] as GroupHistory;
        if (kind === 'I') known.invoked = Number(version);
        else {
          known.acknowledged = Number(version);
          options.onAcknowledged?.(Number(group), Number(version));
          count++;
        }
      }
    });
    child.on('close', () => {
      if (killed) resolve(count);
      else reject(new Error(`the writer ended by itself: ${errors}`));
    });
  });
}
