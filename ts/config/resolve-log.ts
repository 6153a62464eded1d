import { alignDown, GIB, KIB, MIB, PAGE_BYTES, TIB } from '../common/units.js';
import type { Section } from './section.js';
import type { ResolvedConfig } from './types.js';

const SEGMENTS_MIN = 4;
const SEGMENT_BYTES_MIN = 256 * KIB;
const CAPACITY_BYTES_DEFAULT = 64 * MIB;
/** Where the log has to carry every value: half of it takes one of 64 MiB, with room to spare. */
const CAPACITY_BYTES_CARRYING = 192 * MIB;
const SEGMENT_BYTES_DEFAULT = 8 * MIB;
const INLINE_BYTES_DEFAULT = 16 * KIB;

/**
 * A segment must hold the longest record of the log (an inline value, a key of up to 64 KiB, headers
 * and padding), and four segments are the least that writing, a checkpoint and recycling need.
 */
export function resolveLog(
  log: Section,
  fixedSegmentBytes: number | undefined,
  valueType: string,
): ResolvedConfig['log'] {
  const capacityBytes = log.integer(
    'capacity_bytes',
    { min: SEGMENTS_MIN * SEGMENT_BYTES_MIN, max: TIB, unit: 'bytes' },
    Math.max(
      valueType === 'DRAM_VALUE_STORE' ? CAPACITY_BYTES_CARRYING : CAPACITY_BYTES_DEFAULT,
      SEGMENTS_MIN * largestGiven(log, fixedSegmentBytes),
    ),
  );
  const eighth = alignDown(Math.floor(capacityBytes / 8), PAGE_BYTES);
  const segmentBytes = log.integer(
    'segment_bytes',
    { min: SEGMENT_BYTES_MIN, max: GIB, unit: 'bytes', multipleOf: PAGE_BYTES },
    fixedSegmentBytes ?? Math.max(SEGMENT_BYTES_MIN, Math.min(SEGMENT_BYTES_DEFAULT, eighth)),
  );
  if (capacityBytes < SEGMENTS_MIN * segmentBytes) {
    const least = SEGMENTS_MIN * segmentBytes;
    const section = log.has('capacity_bytes') ? 'capacity_bytes' : 'segment_bytes';
    log.refuse(section, `a capacity of at least ${SEGMENTS_MIN} segments, which is ${least} bytes`);
  }
  const quarter = Math.min(512 * KIB, Math.floor(segmentBytes / 4));
  return {
    capacityBytes,
    segmentBytes,
    inlineValueBytes: log.integer(
      'inline_value_bytes',
      { min: 0, max: quarter, unit: 'bytes' },
      Math.min(INLINE_BYTES_DEFAULT, quarter),
    ),
  };
}

/** A large segment that was asked for raises the default capacity rather than failing against it. */
function largestGiven(log: Section, fixedSegmentBytes: number | undefined): number {
  const given = log.raw('segment_bytes') ?? fixedSegmentBytes;
  return typeof given === 'number' && given > 0 && given <= GIB ? given : 0;
}
