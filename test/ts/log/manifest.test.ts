import assert from 'node:assert/strict';
import type { SimDisk } from '../../../ts/bindings/addon.js';
import { FileSet } from '../../../ts/bindings/file-set.js';
import { isCairnError } from '../../../ts/common/errors.js';
import { ManifestFile, type ManifestContent } from '../../../ts/log/manifest.js';
import { STORE_ID } from '../../support/log.js';
import { newSimDisk } from '../../support/sim-disk.js';

const CONTENT: ManifestContent = {
  storeId: STORE_ID,
  hashKey: Buffer.alloc(16, 7),
  durableSequence: 5,
  checkpointId: 0,
  checkpointBytes: 0,
  checkpointCrc: 0xfedcba98,
  startSequence: 3,
  firstSegmentId: 1,
  clean: false,
  config: '{"path":"ä"}',
  entries: [{ type: 9, mandatory: false, data: Buffer.from('later') }],
};

async function made(changes: Partial<ManifestContent> = {}): Promise<SimDisk> {
  const disk = newSimDisk({});
  const files = FileSet.simulate(disk);
  const manifest = await ManifestFile.create(files, { ...CONTENT, ...changes });
  manifest.close();
  await files.dispose();
  return disk;
}

describe('the manifest', () => {
  it('comes back as it was written', async () => {
    const files = FileSet.simulate(await made());
    const manifest = await ManifestFile.open(files);
    assert.deepEqual(
      { ...manifest.current, storeId: Buffer.from(manifest.current.storeId) },
      { ...CONTENT, generation: 1 },
    );
    assert.deepEqual(files.list(), ['MANIFEST']);
  });

  it('raises the generation with each write', async () => {
    const disk = await made();
    const files = FileSet.simulate(disk);
    const manifest = await ManifestFile.open(files);
    await Promise.all([manifest.write({ durableSequence: 6 }), manifest.write({ clean: true })]);
    manifest.close();
    const again = await ManifestFile.open(files);
    assert.equal(again.current.generation, 3);
    assert.equal(again.current.durableSequence, 6);
    assert.equal(again.current.clean, true);
  });

  it('survives damage to either root with the newest content', async () => {
    const disk = await made();
    const files = FileSet.simulate(disk);
    const manifest = await ManifestFile.open(files);
    await manifest.write({ durableSequence: 77 });
    await files.dispose();
    const good = disk.readFile('MANIFEST') as Uint8Array;
    for (let offset = 0; offset < good.length; offset += offset % 32768 < 200 ? 1 : 61) {
      const damaged = newSimDisk({});
      damaged.writeFile('MANIFEST', good);
      damaged.flipBit('MANIFEST', offset, offset % 8);
      const opened = await ManifestFile.open(FileSet.simulate(damaged));
      assert.equal(opened.current.durableSequence, 77);
      damaged.release();
    }
  });

  it('is refused when both roots are damaged, or the file is cut off', async () => {
    const disk = await made();
    disk.flipBit('MANIFEST', 40, 0);
    disk.flipBit('MANIFEST', 32768 + 40, 0);
    await assert.rejects(ManifestFile.open(FileSet.simulate(disk)), (error) =>
      isCairnError(error, 'CAIRN_CORRUPTION'),
    );
    disk.writeFile('MANIFEST', Buffer.alloc(100));
    await assert.rejects(ManifestFile.open(FileSet.simulate(disk)), (error) =>
      isCairnError(error, 'CAIRN_CORRUPTION'),
    );
    await assert.rejects(ManifestFile.open(FileSet.memory()), (error) =>
      isCairnError(error, 'CAIRN_NOT_FOUND'),
    );
  });

  it('is refused when it needs an entry that is not known', async () => {
    const entries = [{ type: 12, mandatory: true, data: Buffer.alloc(0) }];
    const files = FileSet.simulate(await made({ entries }));
    await assert.rejects(ManifestFile.open(files), (error) =>
      isCairnError(error, 'CAIRN_INCOMPATIBLE'),
    );
    const manifest = await ManifestFile.open(files, { knownEntries: [12] });
    assert.equal(manifest.current.entries[0]?.type, 12);
  });

  it('refuses a configuration that does not fit', async () => {
    await assert.rejects(made({ config: 'x'.repeat(40000) }), (error) =>
      isCairnError(error, 'CAIRN_TOO_LARGE'),
    );
  });

  it('is whole, old or new, in every crash state', async () => {
    const disk = newSimDisk({ record: true });
    const files = FileSet.simulate(disk);
    const manifest = await ManifestFile.create(files, CONTENT);
    const created = disk.eventCount;
    await manifest.write({ durableSequence: 6 });
    const written = disk.eventCount;
    for (let point = 0; point <= written; point++) {
      for (let seed = 0; seed < 20; seed++) {
        const crashed = disk.crash(point, { kind: 'random', seed });
        const set = FileSet.simulate(crashed);
        if (point < created && !ManifestFile.exists(set)) continue;
        const { durableSequence } = (await ManifestFile.open(set)).current;
        assert.ok(durableSequence === 5 || (durableSequence === 6 && point > created));
        if (point === written) assert.equal(durableSequence, 6);
        crashed.release();
      }
    }
  });

  it('is whole after a crash in a write of it, and another in the next', async () => {
    // Several sectors of a root differ, so that it can be torn.
    const configOf = (sequence: number): string => String(sequence).repeat(6000);
    const disk = newSimDisk({ record: true });
    const files = FileSet.simulate(disk);
    const content = { ...CONTENT, config: configOf(CONTENT.durableSequence) };
    const manifest = await ManifestFile.create(files, content);
    const created = disk.eventCount;
    await manifest.write({ durableSequence: 6, config: configOf(6) });
    for (let point = created; point <= disk.eventCount; point++) {
      for (let seed = 0; seed < 8; seed++) {
        const crashed = disk.crash(point, { kind: 'random', seed });
        const again = await ManifestFile.open(FileSet.simulate(crashed));
        const before = again.current.durableSequence;
        assert.ok(before === 5 || before === 6);
        const opened = crashed.eventCount;
        await again.write({ durableSequence: 7, config: configOf(7) });
        const written = crashed.eventCount;
        for (let second = opened; second <= written; second++) {
          for (let seed2 = 0; seed2 < 8; seed2++) {
            const after = crashed.crash(second, { kind: 'random', seed: seed2 });
            const { durableSequence, config } = (await ManifestFile.open(FileSet.simulate(after)))
              .current;
            assert.ok(durableSequence === 7 || (durableSequence === before && second < written));
            assert.equal(config, configOf(durableSequence));
            after.release();
          }
        }
        crashed.release();
      }
    }
  });
});
