import assert from 'node:assert/strict';
import { addon } from '../../../ts/bindings/addon.js';
import { FileSet } from '../../../ts/bindings/file-set.js';
import {
  SsdValueStore,
  type SsdValueStoreOptions,
} from '../../../ts/value-store/ssd-value-store.js';
import { openValuesFile, type SlotAllocator } from '../../../ts/value-store/values-file.js';
import type { ValueStore } from '../../../ts/value-store/value-store.js';
import { newSimDisk } from '../../support/sim-disk.js';
import {
  valueStoreConformance,
  type ValueStoreHost,
} from '../../support/value-store-conformance.js';

type Disk = ReturnType<typeof newSimDisk>;

/** On a simulated disk, which a store that is opened again gets anew. */
class SimulatedHost implements ValueStoreHost {
  readonly #disks = new WeakMap<
    ValueStore,
    { readonly disk: Disk; readonly capacityBytes: number }
  >();

  constructor(
    private readonly cacheBytes: number,
    private readonly slots: Pick<
      SsdValueStoreOptions,
      'allocator' | 'sizeClasses' | 'blockBytes'
    > = {},
  ) {}

  open({ capacityBytes }: { readonly capacityBytes: number }): Promise<ValueStore> {
    return this.#openOn(newSimDisk(), capacityBytes);
  }

  async reopen(store: ValueStore): Promise<ValueStore> {
    const opened = this.#disks.get(store);
    if (opened === undefined) throw new Error('not a store of this host');
    await store.close();
    return this.#openOn(opened.disk, opened.capacityBytes);
  }

  async #openOn(disk: Disk, capacityBytes: number): Promise<ValueStore> {
    const store = await SsdValueStore.open(FileSet.simulate(disk), {
      storeId: new Uint8Array(16).fill(7),
      ...this.slots,
      capacityBytes,
      cacheBytes: this.cacheBytes,
      inlineBytesMax: 64 * 1024,
      runBytes: 256 * 1024,
      dirtyBytesMax: 1024 * 1024,
      reserveBytesMax: 4 * 1024 * 1024,
      readOnly: false,
    });
    this.#disks.set(store, { disk, capacityBytes });
    return store;
  }
}

describe('a values file', () => {
  const openWith = async (disk: Disk, allocator: SlotAllocator): Promise<void> => {
    const fileSet = FileSet.simulate(disk);
    const how = { readOnly: false, used: false, allocator };
    const { file } = await openValuesFile(fileSet, new Uint8Array(16), how);
    fileSet.close(file);
  };

  it('is refused by the other allocator', async () => {
    for (const [own, other] of [
      ['SSD_SLAB', 'SSD_BUDDY'],
      ['SSD_BUDDY', 'SSD_SLAB'],
    ] as const) {
      const disk = newSimDisk();
      await openWith(disk, own);
      await assert.rejects(openWith(disk, other), {
        code: 'CAIRN_INCOMPATIBLE',
        message: `opening values: its slots are not of ${other}`,
      });
      await openWith(disk, own);
    }
  });

  it('with classes of a later version is refused', async () => {
    const disk = newSimDisk();
    const fileSet = FileSet.simulate(disk);
    const page = new Uint8Array(fileSet.native.allocate(4096));
    addon().encodeValuesHeader(new Uint8Array(16), page, 4);
    const file = await fileSet.open('values', 2);
    await fileSet.write(file, 0, page, { sync: true });
    for (const allocator of ['SSD_SLAB', 'SSD_BUDDY'] as const) {
      await assert.rejects(openWith(disk, allocator), {
        code: 'CAIRN_INCOMPATIBLE',
        message: 'opening values: its format is of another version',
      });
    }
  });
});

describe('SsdValueStore', () => {
  valueStoreConformance(new SimulatedHost(1024 * 1024));

  describe('without a page cache', () => {
    valueStoreConformance(new SimulatedHost(0));
  });

  describe('with SSD_BUDDY', () => {
    valueStoreConformance(new SimulatedHost(1024 * 1024, { allocator: 'SSD_BUDDY' }));
  });

  describe('with SSD_BUDDY in blocks of 8 KiB and no page cache', () => {
    valueStoreConformance(new SimulatedHost(0, { allocator: 'SSD_BUDDY', blockBytes: 8192 }));
  });

  describe('with explicit size classes', () => {
    valueStoreConformance(new SimulatedHost(1024 * 1024, { sizeClasses: [100, 512, 8000] }));
  });
});
