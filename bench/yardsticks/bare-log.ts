import type { Sample } from '../measure.js';
import { fioCommand, runFio, type FioJob } from './fio.js';

/** What cairn's log wrote per group in a turn, so that a log without a store can do the same. */
export interface GroupShape {
  readonly bytes: number;
  readonly records: number;
}

const PAGE_BYTES = 4096;
/** As large as cairn's own log segments, all of it written before. */
export const LOG_FILE_BYTES = 64 * 1024 * 1024;

export function groupShape(puts: number, groups: number, bytesWritten: number): GroupShape {
  if (groups <= 0) return { bytes: PAGE_BYTES, records: 1 };
  const bytes = Math.ceil(bytesWritten / groups / PAGE_BYTES) * PAGE_BYTES;
  return { bytes: Math.max(PAGE_BYTES, bytes), records: puts / groups };
}

const jobOf = (shape: GroupShape): FioJob => ({ kind: 'direct-dsync', blockBytes: shape.bytes });

export function bareLogCommand(shape: GroupShape): string {
  const file = { file: 'FILE', fileBytes: LOG_FILE_BYTES, milliseconds: 2000 };
  return fioCommand({ ...file, job: jobOf(shape) });
}

/**
 * Records per second of a bare log: one group at a time, O_DIRECT and O_DSYNC, overwriting. A record
 * costs nothing here but its share of the group's bytes.
 */
export async function runBareLog(
  file: string,
  shape: GroupShape,
  milliseconds: number,
): Promise<Sample> {
  const fileBytes = Math.floor(LOG_FILE_BYTES / shape.bytes) * shape.bytes;
  const result = await runFio({ job: jobOf(shape), file, fileBytes, milliseconds });
  return { value: result.iops * shape.records, latency: result.latency };
}
