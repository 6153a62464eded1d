import assert from 'node:assert/strict';
import { CairnError, isCairnError } from '../../../ts/common/errors.js';
import type { StoreParts } from '../../../ts/engine/parts.js';
import { Placer, type SpaceMaker } from '../../../ts/engine/placer.js';

describe('Placer', () => {
  it('ends a write when making room frees nothing, though each attempt is told to wait', async () => {
    // Symptom: a put on a full file system never ended, and checkpoint followed on checkpoint.
    // Cause: an attempt asks the device anew and waits; when that had failed, room was made once more.
    // Fix: room is made for a write again only when that freed some before.
    let attempts = 0;
    const values = {
      capabilities: { inlineBytesMax: 100 },
      stats: () => ({ allocatedBytes: 4096 }),
      whenRoom: () => Promise.resolve(),
      place: (): number => {
        if (attempts++ % 2 === 0) throw new CairnError('CAIRN_NO_SPACE', 'full');
        return 0;
      },
    };
    let made = 0;
    const space = {
      mayMakeRoom: () => true,
      makeRoom: () => {
        assert.ok(made++ < 10, 'room is made for ever');
        return Promise.resolve();
      },
    };
    const parts = { values } as unknown as StoreParts;
    const placer = new Placer(parts, space as unknown as SpaceMaker, () => 1);
    await assert.rejects(placer.place(Buffer.from('key'), Buffer.from('value'), true), (error) =>
      isCairnError(error, 'CAIRN_NO_SPACE'),
    );
    assert.equal(made, 1);
  });

  it('asks a full device once more for each write, though no room can be made', async () => {
    // Symptom: space had come back, and a put beside others was refused all the same.
    // Cause: it was told what the device had said to a write before.
    // Fix: a write is refused when the device says so twice.
    for (const refusals of [1, 2]) {
      let asked = 0;
      const values = {
        capabilities: { inlineBytesMax: 100 },
        place: (): number => {
          if (asked++ < refusals) throw new CairnError('CAIRN_NO_SPACE', 'full');
          return 17;
        },
      };
      const space = { mayMakeRoom: () => false };
      const parts = { values } as unknown as StoreParts;
      const placer = new Placer(parts, space as unknown as SpaceMaker, () => 1);
      const placed = placer.place(Buffer.from('key'), Buffer.from('value'), true);
      if (refusals === 1) assert.equal(await placed, 17);
      else await assert.rejects(placed, (error) => isCairnError(error, 'CAIRN_NO_SPACE'));
      assert.equal(asked, 2);
    }
  });
});
