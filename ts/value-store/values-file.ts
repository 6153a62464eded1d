import { addon } from '../bindings/addon.js';
import type { FileId, FileSet } from '../bindings/file-set.js';
import { CairnError, type OnDamage } from '../common/errors.js';
import { PAGE_BYTES } from '../common/units.js';

/** Name of the values file; docs/FORMAT.md "Values file". */
export const VALUES_FILE = 'values';

const OPEN_EXISTING = 0;
const OPEN_OR_CREATE = 2;
const BLANK = -1;
const DAMAGED = -2;
const OTHER_VERSION = -3;

export interface ValuesFile {
  readonly file: FileId;
  /** Which classes its handles number: docs/FORMAT.md "Classes of slots". */
  readonly classTable: number;
}

/** The allocators of the addon for slots in a file. */
export type SlotAllocator = 'SSD_SLAB' | 'SSD_BUDDY';

/**
 * Opens the values file and checks that it is of this store; a new one gets its header.
 *
 * @param how used: the store was open before, so that the file and its header are durable.
 * @throws CairnError CAIRN_CORRUPTION, CAIRN_INCOMPATIBLE, CAIRN_NO_SPACE, CAIRN_IO.
 */
export async function openValuesFile(
  fileSet: FileSet,
  storeId: Uint8Array,
  how: {
    readonly readOnly: boolean;
    readonly used: boolean;
    readonly allocator: SlotAllocator;
    /** Takes a header that does not check: what it says is guessed. */
    readonly onDamage?: OnDamage | undefined;
  },
): Promise<ValuesFile> {
  const { readOnly, used } = how;
  if (used && !fileSet.list().includes(VALUES_FILE))
    throw refused('CAIRN_CORRUPTION', 'it is gone');
  const { slabClassTable, buddyClassTable } = addon().NativeSlotFile;
  const newest = how.allocator === 'SSD_BUDDY' ? buddyClassTable : slabClassTable;
  const file = await fileSet.open(VALUES_FILE, readOnly ? OPEN_EXISTING : OPEN_OR_CREATE);
  try {
    const check =
      fileSet.sizeOf(file) < PAGE_BYTES
        ? BLANK
        : addon().decodeValuesHeader(storeId, await fileSet.read(file, 0, PAGE_BYTES));
    if (how.onDamage !== undefined && (check === DAMAGED || check === BLANK)) {
      how.onDamage(refused('CAIRN_CORRUPTION', 'its header does not check'));
      return { file, classTable: newest };
    }
    if (check === DAMAGED) throw refused('CAIRN_CORRUPTION', 'it is not of this store, or damaged');
    if (check === OTHER_VERSION || check > Math.max(slabClassTable, buddyClassTable))
      throw refused('CAIRN_INCOMPATIBLE', 'its format is of another version');
    if (check > 0 && (check === buddyClassTable) !== (newest === buddyClassTable))
      throw refused('CAIRN_INCOMPATIBLE', `its slots are not of ${how.allocator}`);
    if (check === BLANK && used) {
      throw refused('CAIRN_CORRUPTION', 'its first page is gone, although the store has been used');
    }
    if (!used && !readOnly) {
      if (check === BLANK) {
        const page = fileSet.allocate(PAGE_BYTES);
        addon().encodeValuesHeader(storeId, page, newest);
        await fileSet.write(file, 0, page, { sync: true });
      } else {
        // A process that was killed may have left it in flight, and the log will say that it is there.
        await fileSet.sync(file);
      }
      await fileSet.syncName(VALUES_FILE);
    }
    return { file, classTable: check === BLANK ? newest : check };
  } catch (error) {
    fileSet.close(file);
    throw error;
  }
}

function refused(code: 'CAIRN_CORRUPTION' | 'CAIRN_INCOMPATIBLE', why: string): CairnError {
  return new CairnError(code, `opening ${VALUES_FILE}: ${why}`, {
    operation: 'open',
    file: VALUES_FILE,
    offset: 0,
  });
}
