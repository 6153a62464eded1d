import { assert } from '../common/assert.js';
import { addon } from '../bindings/addon.js';
import { MIB } from '../common/units.js';

/** Flag of a record: the next one belongs to the same batch. On disk. */
export const FLAG_MORE = 1;
/** Largest payload of a checkpoint chunk. On disk. */
export const CHUNK_PAYLOAD_MAX = MIB;
/** How a scan ended: ScanEnd in native/log/log_reader.h. */
export const SCAN_END = { clean: 1, torn: 2, limit: 3, foreign: 4 } as const;

/** Positions in the arrays that the addon fills, looked up by name once. */
function positions<Name extends string>(
  names: readonly string[],
  wanted: readonly Name[],
): Readonly<Record<Name, number>> {
  const found = Object.create(null) as Record<Name, number>;
  for (const name of wanted) {
    const position = names.indexOf(name);
    assert(position >= 0, `the addon has no slot '${name}'`);
    found[name] = position;
  }
  return found;
}

function read() {
  const { logLayout, codecLayout } = addon();
  assert(logLayout.flagMore === FLAG_MORE, "FLAG_MORE is the addon's");
  assert(codecLayout.chunkPayloadMax === CHUNK_PAYLOAD_MAX, "CHUNK_PAYLOAD_MAX is the addon's");
  return {
    state: positions(logLayout.state, [
      'appendedSequence',
      'completeSequence',
      'writtenSequence',
      'durableSequence',
      'pendingBytes',
      'liveBytes',
      'freeSegments',
      'failedErrno',
      'groups',
      'syncs',
      'bytesWritten',
      'segmentId',
      'busy',
      'groupsBegun',
    ]),
    scan: positions(logLayout.scan, [
      'limitSequence',
      'firstLiveId',
      'endOffset',
      'segmentId',
      'lastSequence',
      'completeSequence',
      'durableSequence',
      'highestSegmentId',
      'highestSequence',
      'end',
    ]),
    scanSlots: logLayout.scan.length,
    cursor: positions(logLayout.cursor, [
      'limitSequence',
      'segmentId',
      'lastSequence',
      'groupOffset',
      'damaged',
    ]),
    cursorSlots: logLayout.cursor.length,
    row: positions(logLayout.row, [
      'kind',
      'flags',
      'handle',
      'sequence',
      'keyOffset',
      'keySize',
      'valueOffset',
      'valueSize',
    ]),
    rowSlots: logLayout.row.length,
    codec: codecLayout,
  };
}

export type Layout = ReturnType<typeof read>;

let known: Layout | undefined;

/** Where things are in the arrays that the addon shares; loads the addon at the first call. */
export function layout(): Layout {
  return (known ??= read());
}
