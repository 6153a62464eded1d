import { resolve as absolutePath } from 'node:path';
import type { Section } from './section.js';
import type { Sections } from './sections.js';

// Where a DRAM store of the seed system may put its memory file: tmpfs, so that nothing faults on a
// device. Here it only names the store directory, and the same rule keeps such documents portable.
const SHARED_MEMORY = '/dev/shm/';

export function isInSharedMemory(path: string): boolean {
  return `${absolutePath(path)}/`.startsWith(SHARED_MEMORY);
}

function refuseOutsideSharedMemory(section: Section, path: string | undefined): void {
  if (path === undefined || isInSharedMemory(path)) return;
  section.refuse('path', `empty or below ${SHARED_MEMORY}; the store directory is given by path`);
}

/**
 * The store directory: said outright, or else by the field that names the data in documents of the
 * seed system (value.path, for the tiered store value.ssd_allocator.path, last index.path).
 */
export function resolvePath(
  argument: string | undefined,
  sections: Sections,
  valueType: string,
): string {
  const { root, value, dramAllocator, ssdAllocator, index } = sections;
  const own = root.location('path');
  const ofValue = value.location('path');
  const ofDram = dramAllocator.location('path');
  const ofSsd = ssdAllocator.location('path');
  const ofIndex = index.location('path');

  if (valueType === 'DRAM_VALUE_STORE') {
    refuseOutsideSharedMemory(value, ofValue);
    if (ofDram !== undefined) dramAllocator.refuse('path', 'absent with DRAM_VALUE_STORE', 'path');
  } else if (valueType === 'SSD_VALUE_STORE') {
    if (ofSsd !== undefined) ssdAllocator.refuse('path', 'absent with SSD_VALUE_STORE', 'path');
  } else if (valueType === 'TIERED_VALUE_STORE') {
    refuseOutsideSharedMemory(dramAllocator, ofDram);
    if (ofValue !== undefined) value.refuse('path', 'absent with TIERED_VALUE_STORE', 'path');
  }
  if (argument !== undefined && own !== undefined && absolutePath(argument) !== absolutePath(own)) {
    root.refuse('path', `absent, or ${argument} as the first argument says`);
  }
  const chosen = argument ?? own ?? ofValue ?? ofSsd ?? ofIndex;
  // Said once: a path that is no string, or a document that is no object, is reported already.
  const reported = !root.readable || (root.has('path') && root.raw('path') !== '');
  if (chosen === undefined && !reported) {
    root.refuse('path', 'the directory of the store: a string');
  }
  return absolutePath(chosen ?? '.');
}
