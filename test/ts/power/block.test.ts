import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { tryImages } from '../../support/block/images.js';
import { buildLoggedDisk } from '../../support/block/logged-disk.js';
import { SeededRandom } from '../../support/crash/random.js';
import { FILE_SYSTEMS, whyNoLoopDevice } from '../../support/loop/devices.js';

const IMAGES = 12;

// Fault model F2 and F3: the power goes between two commands of the device.
describe('a device whose power is cut between commands', function () {
  this.timeout(120_000);
  for (const [at, kind] of FILE_SYSTEMS.entries()) {
    it(`loses no acknowledged write: ${kind}, ${IMAGES} images`, async function () {
      // npm run test:block installs what is missing; it needs root, loop devices and FUSE all the same.
      if (whyNoLoopDevice(kind) !== undefined || !canServe()) return this.skip();
      const directory = mkdtempSync(join(tmpdir(), 'cairn-block-test-'));
      const random = new SeededRandom(7 + at);
      const io = at === 0 ? 'IOURING' : 'POSIX';
      try {
        const options = {
          kind,
          turn: at,
          io,
          images: IMAGES,
          writeMs: 100,
          directory,
          random,
        } as const;
        await tryImages(options);
      } finally {
        rmSync(directory, { recursive: true, force: true });
      }
    });
  }
});

function canServe(): boolean {
  try {
    buildLoggedDisk();
    return existsSync('/dev/fuse');
  } catch {
    return false;
  }
}
