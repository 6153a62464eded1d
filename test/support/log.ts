import type { FileSet } from '../../ts/bindings/file-set.js';
import { FLAG_MORE, Log, RECORD_PUT, type RecoverOptions } from '../../ts/log/log.js';
import type { ReplayReport } from '../../ts/log/replay.js';

export const STORE_ID = Buffer.from('00112233445566778899aabbccddeeff', 'hex');
export const SEGMENT_BYTES = 64 * 1024;

export const LOG_OPTIONS = {
  storeId: STORE_ID,
  segmentBytes: SEGMENT_BYTES,
  maxGroupBytes: 16 * 1024,
  capacityBytes: 8 * SEGMENT_BYTES,
};

export interface Replayed {
  readonly log: Log;
  readonly report: ReplayReport;
  /** `sequence:key=value` in the order of the log. */
  readonly records: string[];
}

export async function recover(
  files: FileSet,
  bounds: Partial<RecoverOptions> = {},
): Promise<Replayed> {
  const records: string[] = [];
  const options = {
    firstSegmentId: 1,
    startSequence: 0,
    durableSequence: 0,
    ...LOG_OPTIONS,
    ...bounds,
  };
  const { log, report } = await Log.recover(files, options, (batch) => {
    for (let index = 0; index < batch.count; index++) {
      const key = Buffer.from(batch.key(index)).toString();
      const value = Buffer.from(batch.value(index)).toString();
      records.push(`${batch.sequence(index)}:${key}=${value}`);
    }
  });
  return { log, report, records };
}

/** Appends, waiting for room where there is none. */
export async function put(
  log: Log,
  sequence: number,
  key: string,
  value: string,
  options: { readonly sync?: boolean; readonly more?: boolean } = {},
): Promise<void> {
  const bytes = Buffer.from(key);
  const flags = options.more === true ? FLAG_MORE : 0;
  while (
    !log.append(
      RECORD_PUT,
      flags,
      0,
      bytes,
      bytes.length,
      Buffer.from(value),
      sequence,
      options.sync ?? false,
    )
  ) {
    await log.whenRoom();
  }
}

/** Offsets to damage: all in the first bytes of each page, where the headers are, some of the rest. */
export function* offsetsToDamage(bytes: number): Generator<number, void, void> {
  for (let offset = 0; offset < bytes; offset += offset % 4096 < 160 ? 1 : 13) yield offset;
}
