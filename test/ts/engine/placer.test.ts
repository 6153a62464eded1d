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
});
