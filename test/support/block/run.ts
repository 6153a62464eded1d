/**
 * `npm run test:block -- --images 1000 --fs xfs`: the power of a device is cut between its commands, and
 * what no flush had covered is there page by page or not; without --fs below ext4 and xfs. For root.
 */
import { existsSync } from 'node:fs';
import { SeededRandom } from '../crash/random.js';
import { FILE_SYSTEMS, fileSystemsOf, removeAllAtEnd } from '../loop/devices.js';
import { readCount, readOptions } from '../options.js';
import { tryImages } from './images.js';
import { buildLoggedDisk } from './logged-disk.js';

const IMAGES_OF_A_STORE = 50;
const WRITE_MS = 300;

const USAGE = `Options:
  --images N   states of the device below each file system (default 200)
  --seed S     of the moments and of what is kept (default 1)
  --fs NAME    one of ${FILE_SYSTEMS.join(', ')} (default: each)
`;

const values = readOptions(USAGE, {
  images: { type: 'string', default: '200' },
  seed: { type: 'string', default: '1' },
  fs: { type: 'string' },
});
const wanted = readCount('images', values.images, 1);
const random = new SeededRandom(readCount('seed', values.seed));
const kinds = fileSystemsOf(values.fs);

buildLoggedDisk();
removeAllAtEnd();
const directory = existsSync('/dev/shm') ? '/dev/shm' : '/var/tmp';
let passed = 0;
try {
  for (const kind of kinds) {
    let images = 0;
    let acknowledged = 0;
    for (let turn = 0; images < wanted; turn++) {
      const io = random.chance(0.5) ? 'IOURING' : 'POSIX';
      const count = Math.min(IMAGES_OF_A_STORE, wanted - images);
      const options = {
        kind,
        turn,
        io,
        images: count,
        writeMs: WRITE_MS,
        directory,
        random,
      } as const;
      const result = await tryImages(options).catch((cause: unknown) => {
        throw new Error(`${kind}, store ${turn}, ${io}`, { cause });
      });
      images += count;
      passed += count;
      acknowledged += result.acknowledged;
      console.error(
        `${kind}: ${images} of ${wanted} images; ${result.store} on ${io}: ` +
          `${result.entries} commands, ${result.flushes} of them flushes`,
      );
    }
    console.error(`${kind}: ${images} images, ${acknowledged} acknowledged writes, none lost`);
  }
  console.log(`${passed} passed, 0 failed`);
} catch (error) {
  console.error(error);
  console.log(`${passed} passed, 1 failed`);
  process.exitCode = 1;
}
