import assert from 'node:assert/strict';
import type { SimDisk } from '../../../ts/bindings/addon.js';
import { FileSet } from '../../../ts/bindings/file-set.js';
import { KnownImages } from '../../support/crash/known-images.js';
import { newSimDisk } from '../../support/sim-disk.js';

const PAGE_BYTES = 4096;

/** A disk that begins with one file, a byte for each of its pages. */
function diskWith(pages: readonly number[], name = 'file'): SimDisk {
  const disk = newSimDisk({ record: true });
  disk.writeFile(name, Buffer.concat(pages.map((byte) => Buffer.alloc(PAGE_BYTES, byte))));
  return disk.crash(disk.eventCount, { kind: 'all' });
}

/** Writes page 1, then reads pages 0 and 1. */
async function use(disk: SimDisk): Promise<void> {
  const files = FileSet.simulate(disk);
  const file = await files.open('file', 0);
  const page = new Uint8Array(files.native.allocate(PAGE_BYTES));
  await files.write(file, PAGE_BYTES, page, { sync: true });
  await files.read(file, 0, 2 * PAGE_BYTES);
  await files.dispose();
}

const contents = new Map([['k1', Buffer.from('one')]]);

describe('the images that a campaign knows', () => {
  it('are those that are equal where they were read', async () => {
    const known = new KnownImages();
    const opened = diskWith([1, 2, 3]);
    await use(opened);
    known.add(opened, contents);
    assert.equal(known.find(diskWith([1, 2, 3]))?.contents, contents);
    assert.equal(known.find(diskWith([1, 2, 9]))?.contents, contents, 'page 2 is not read');
    assert.equal(known.find(diskWith([1, 9, 3]))?.contents, contents, 'page 1 is written first');
    assert.equal(known.find(diskWith([9, 2, 3])), undefined, 'page 0 is read');
    assert.equal(known.find(diskWith([1, 2, 3, 0])), undefined, 'the size is known');
    assert.equal(known.find(diskWith([1, 2, 3], 'other')), undefined, 'so is the name');
  });

  it('are met again when every byte is the same', () => {
    const known = new KnownImages();
    assert.equal(known.meet(diskWith([1, 2, 3])), false);
    assert.equal(known.meet(diskWith([1, 2, 3])), true);
    assert.equal(known.meet(diskWith([1, 2, 9])), false);
  });
});
