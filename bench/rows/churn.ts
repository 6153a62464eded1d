import { execFile } from 'node:child_process';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { ChurnResult } from '../churn.js';
import type { BenchContext } from '../context.js';
import { loaderArguments } from '../engine-process.js';
import { bounded } from './compare.js';
import type { RowResult } from './result.js';

const GROUP = 'churn';
const ROUNDS = 5;
/** 1.1 GB and more of live bytes; a quick run has a tenth, where the slack of small stores shows. */
const SIZES = [
  { bytes: 'mixed', what: '200 to 4000 B', entries: 520_000 },
  { bytes: '1024', what: '1024 B', entries: 1_050_000 },
] as const;
/** Of the space, over live bytes: the log's 64 MiB are not in it. */
const ALLOCATORS = [
  { type: 'SSD_SLAB', atMost: 1.2, named: [] },
  { type: 'SSD_BUDDY', atMost: 1.3, named: ['SSD_BUDDY'] },
] as const;
const OUTPUT_BYTES_MAX = 1024 * 1024;

const run = promisify(execFile);

async function churn(
  path: string,
  entries: number,
  bytes: string,
  allocator: readonly string[],
): Promise<ChurnResult> {
  const program = fileURLToPath(new URL(`../churn${extname(import.meta.url)}`, import.meta.url));
  const { stdout } = await run(
    process.execPath,
    [...loaderArguments(), program, path, String(entries), bytes, String(ROUNDS), ...allocator],
    { maxBuffer: OUTPUT_BYTES_MAX },
  );
  return JSON.parse(stdout) as ChurnResult;
}

/** Space while all values are overwritten five times over in a zipfian order. */
export async function churnSpace(context: BenchContext): Promise<RowResult[]> {
  const rows: RowResult[] = [];
  for (const { bytes, what, entries } of context.quick ? SIZES.slice(0, 1) : SIZES) {
    for (const { type, atMost, named } of ALLOCATORS) {
      const count = context.quick ? entries / 10 : entries;
      context.say(`churn: ${type}, ${what}`);
      const path = await context.newPath('churn');
      const found = await churn(path, count, bytes, named);
      await context.discard(path);
      rows.push(
        bounded(
          {
            group: GROUP,
            name: `space of ${what} overwritten, ${type}`,
            configuration:
              `${ROUNDS} x ${count} zipfian 0.99 overwrites, 128 in flight, durability process: ` +
              'largest size on the device over live bytes, the log left out',
            unit: 'x live',
            goal: context.quick ? null : { kind: 'bound', atMost },
            notes: [
              `${(found.liveBytes / 1e6).toFixed(0)} MB live`,
              `at the end ${found.diskRatioEnd.toFixed(2)} x`,
              `in cells ${found.allocatedRatioMax.toFixed(2)} x`,
              `log ${(found.logBytesMax / 2 ** 20).toFixed(0)} MiB`,
              `${Math.round(found.putsPerSecond)} puts/s`,
              `${found.writeAmplification.toFixed(2)} bytes written per byte`,
            ],
          },
          [found.diskRatioMax],
        ),
      );
    }
  }
  return rows;
}
