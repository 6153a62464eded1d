import { FileSet } from '../../../ts/bindings/file-set.js';
import type { Index } from '../../../ts/index/index.js';
import { SsdIndex } from '../../../ts/index/ssd-index.js';
import { indexConformance } from '../../support/index-conformance.js';

const STORE_ID = Uint8Array.from({ length: 16 }, (_, at) => at + 1);

function inMemory(hashKey: Uint8Array, cachePages: number): Index {
  return new SsdIndex(FileSet.memory(), {
    hashKey,
    storeId: STORE_ID,
    cachePages,
    persistent: true,
    readOnly: false,
    growBytesMax: 1024 * 1024,
  });
}

describe('SsdIndex', () => {
  indexConformance((hashKey) => inMemory(hashKey, 1024));

  describe('with a cache of 256 pages', () => {
    indexConformance((hashKey) => inMemory(hashKey, 256));
  });
});
