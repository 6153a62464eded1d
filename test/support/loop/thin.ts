import { statfsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { CairnError, isCairnError } from '../../../ts/common/errors.js';
import { open, type Store, type StoreConfig } from '../../../ts/index.js';
import { LoopDevice, run, type FileSystemKind } from './devices.js';
import { configOf, describeConfig } from './full.js';
import { Ledger, valueOf } from './ledger.js';
import { Load, pick, PROFILES, randomOf, settled, type Random } from './load.js';

const MIB = 2 ** 20;
const ROOM_BYTES = 768 * MIB;
/** With `packed_meta_blocks` the journal and the tables of an ext4 lie in front of this. */
const METADATA_BYTES = 16 * MIB;
const FULL_AFTER_MS_MAX = 300;
/** Writing ends for each writer that was refused or failed so often; or, where nothing is, now. */
const REFUSALS = 3;
const LOAD_MS_MAX = 3000;
const FILL_TRIES = 50;
/** What a read of the store may say that wrote: what waited in the page cache may be gone. */
const FAILED = ['CAIRN_IO'] as const;
const LOST = ['CAIRN_IO', 'CAIRN_CORRUPTION'] as const;
/** refuse-direct.c looks for it. */
const BUFFERED = 'CAIRN_TEST_BUFFERED';

export interface ThinReport {
  readonly acknowledged: number;
  /** A write or a sync failed, and writing ended until the store was opened again. */
  readonly ended: boolean;
  readonly refusals: number;
}

/** How one device is thin, and how the store uses it. */
interface Shape {
  /** Through the page cache: a write is accepted, and only a sync tells what became of it. */
  readonly buffered: boolean;
  /** Blocks of the journal have their place from the start, so that only data fails. */
  readonly journalKept: boolean;
  /** The device has no place for blocks of zeros: what was prepared by writing them is not there. */
  readonly zerosDropped: boolean;
  readonly fullAfterMs: number;
  /** Opened again on the file system as it is, before that is mounted anew. */
  readonly reopened: boolean;
}

function shapeOf(random: Random): Shape {
  const journalKept = random() < 0.7;
  return {
    buffered: process.env.LD_PRELOAD !== undefined && random() < 0.5,
    journalKept,
    zerosDropped: random() < 0.5,
    fullAfterMs: Math.floor(random() * FULL_AFTER_MS_MAX),
    // A file system that lost metadata as well shows what it likes until it is mounted again.
    reopened: journalKept && random() < 0.7,
  };
}

/**
 * F6: the device has less than it says. At some moment it has no room for a block that is new to
 * it: what was accepted by the page cache fails when it is written back, a sync says so once and
 * lies from then on. What the store acknowledged stays, and nothing else is ever shown.
 */
export async function thinCycle(kind: FileSystemKind, seed: number): Promise<ThinReport> {
  const random = randomOf(seed);
  const config = configOf(random);
  const profile = pick(random, PROFILES);
  const shape = shapeOf(random);
  const device = thinDevice(kind);
  if (shape.buffered) process.env[BUFFERED] = '1';
  try {
    const ledger = new Ledger();
    const load = new Load(ledger, random, profile);
    const ended = await runThin({ device, shape, config, ledger, load });
    device.remove();
    return { acknowledged: ledger.acknowledged, refusals: load.refusals, ended };
  } catch (cause) {
    const what = `${describeConfig(config)}, ${profile.name}, ${JSON.stringify(shape)}`;
    throw new Error(what, { cause });
  } finally {
    delete process.env[BUFFERED];
    device.abandon();
  }
}

function thinDevice(kind: FileSystemKind): LoopDevice {
  // Blocks of a page: the loop driver takes a request for done of which the tmpfs took the first part,
  // and smaller blocks make requests that lie in two pages of it. Few inodes, so that tables are short.
  const blocks = ['-b', '4096', '-N', '4096'];
  const make = [...blocks, '-J', 'size=4', '-E', 'packed_meta_blocks=1,lazy_itable_init=0'];
  const ext4 = { imageBytes: 192 * MIB, make, mount: ['noinit_itable'] };
  return new LoopDevice({
    kind,
    directory: '/var/tmp',
    thinBytes: ROOM_BYTES,
    requestBytes: 4096,
    ...(kind === 'ext4' ? ext4 : {}),
  });
}

interface ThinRun {
  readonly device: LoopDevice;
  readonly shape: Shape;
  readonly config: StoreConfig;
  readonly ledger: Ledger;
  readonly load: Load;
}

/** @returns whether writing ended. */
async function runThin({ device, shape, config, ledger, load }: ThinRun): Promise<boolean> {
  const path = join(device.path, 'store');
  let store = await open(path, config);
  await load.mustPut(store, 20);
  if (shape.zerosDropped) {
    await store.close();
    device.unmount();
    run('fallocate', ['--dig-holes', device.image]);
    device.mount();
    store = await open(path, config);
  }
  if (shape.journalKept) run('fallocate', ['-l', String(METADATA_BYTES), device.image]);
  const timers = [
    setTimeout(() => fill(device), shape.fullAfterMs),
    setTimeout(() => (load.stopped = true), LOAD_MS_MAX),
  ];
  try {
    await load.run(store, REFUSALS);
  } finally {
    for (const timer of timers) clearTimeout(timer);
  }
  await ledger.checkAll(store, shape.buffered ? LOST : FAILED);
  const ended = load.failures > 0;
  if (ended) await expectEnded(store);
  device.resizeThin(ROOM_BYTES);
  // Room alone does not tell what became of the writes before.
  if (ended) await expectEnded(store);
  await closeBroken(store);
  if (shape.reopened) await reopenInPlace(path, ledger, load);
  device.unmount();
  device.mount();
  store = await settled('open', open(path));
  try {
    await ledger.settle(store);
    const report = await store.verify();
    if (report.damagedCount > 0) throw new Error(`damaged: ${JSON.stringify(report.damaged)}`);
    await load.mustPut(store, 20);
  } finally {
    await store.close();
  }
  return ended;
}

/** Decision: a failed write or sync is final. */
async function expectEnded(store: Store): Promise<void> {
  const writes: (() => Promise<unknown>)[] = [
    () => store.put('ended', valueOf(0, 1, 100)),
    () => store.delete('key-1'),
  ];
  for (const write of writes) {
    const error = await settled('a write', write()).then(
      () => new Error('a write was acknowledged after one had failed'),
      (thrown: unknown) => thrown,
    );
    if (!isCairnError(error, 'CAIRN_IO')) throw error as Error;
  }
}

async function closeBroken(store: Store): Promise<void> {
  try {
    await settled('close', store.close());
  } catch (error) {
    if (!(error instanceof CairnError)) throw error;
  }
}

/** The file system may have ended as well; where it has not, what is shown now has to stay. */
async function reopenInPlace(path: string, ledger: Ledger, load: Load): Promise<void> {
  let store: Store;
  try {
    store = await settled('open', open(path));
  } catch (error) {
    if (isCairnError(error, 'CAIRN_IO') || isCairnError(error, 'CAIRN_READ_ONLY')) return;
    throw error;
  }
  try {
    await ledger.settle(store);
    await load.mustPut(store, 20);
  } finally {
    await closeBroken(store);
  }
}

/** From here on it has no room for a block that it has not yet. */
function fill(device: LoopDevice): void {
  for (let tried = 1; ; tried++) {
    const { blocks, bfree, bsize } = statfsSync(dirname(device.image));
    try {
      return device.resizeThin((blocks - bfree) * bsize);
    } catch (error) {
      // Some was written meanwhile.
      if (tried === FILL_TRIES) throw error;
    }
  }
}
