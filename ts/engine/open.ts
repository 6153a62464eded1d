import { randomBytes } from 'node:crypto';
import type { FileSet } from '../bindings/file-set.js';
import { CairnError, type OnDamage } from '../common/errors.js';
import { readMachine } from '../config/machine.js';
import { resolveConfig } from '../config/resolve.js';
import { compareWithStored, toStoredJson } from '../config/stored.js';
import type { ResolvedConfig, StoreConfig } from '../config/types.js';
import type { Index } from '../index/index.js';
import { checkpointFileId } from '../log/checkpoint.js';
import { CheckpointReserve } from '../log/checkpoint-reserve.js';
import { Log } from '../log/log.js';
import { ManifestFile } from '../log/manifest.js';
import type { OnRecords } from '../log/replay.js';
import { isSegmentFileName } from '../log/segment-files.js';
import type { Registry } from '../registry/registry.js';
import { VALUES_FILE } from '../value-store/values-file.js';
import type { Store } from './api.js';
import { createRegistry } from './builtins.js';
import { checkStoredTypes, made, madeAsync } from './checked-factories.js';
import type { CompactionTuning, Factories, Identity, SlotPlan, Tuning } from './factories.js';
import { createKeyCodec } from './keys.js';
import { Meters, type StoreParts } from './parts.js';
import { recover, type RecoveryReport, type ReplayEnd } from './recovery.js';

const KIB = 1024;

const TUNING: Tuning = {
  runBytes: 256 * KIB,
  dirtyBytesMax: 32 * KIB * KIB,
  reserveBytesMax: 64 * KIB * KIB,
};

const COMPACTION: CompactionTuning = { slackBytes: 48 * KIB * KIB, lotBytes: 4 * KIB * KIB };

export interface OpenOptions {
  /** Types of your own beside the built-in ones: see {@link createRegistry}. */
  readonly registry?: Registry<Factories>;
}

/**
 * Opens a store; makes it when there is none.
 *
 * @param pathOrConfig its directory, or a configuration that names it.
 * @throws CairnError CAIRN_INVALID_CONFIG (every problem of the document), CAIRN_UNSUPPORTED,
 *   CAIRN_NOT_FOUND, CAIRN_EXISTS, CAIRN_LOCKED, CAIRN_INCOMPATIBLE, CAIRN_CORRUPTION, CAIRN_IO.
 * @see docs/CONFIG.md
 */
export async function open(
  pathOrConfig: string | StoreConfig,
  config?: StoreConfig,
  options: OpenOptions = {},
): Promise<Store> {
  const registry = options.registry ?? createRegistry();
  const machine = readMachine();
  const resolved = resolveConfig(pathOrConfig, config, { names: registry.allNames(), machine });
  checkTypes(resolved, registry);
  const fileSet = await registry.get('io', resolved.io.type)(resolved);
  return openWithFileSet(fileSet, resolved, registry, { ...TUNING, machine });
}

/**
 * Opens the store in `fileSet`, which is disposed of when the store is closed or cannot be opened.
 * The order is that of docs/DURABILITY.md "Opening".
 */
export async function openWithFileSet(
  fileSet: FileSet,
  config: ResolvedConfig,
  registry: Registry<Factories> = createRegistry(),
  tuning: Tuning = TUNING,
): Promise<Store> {
  const opened: { close(): unknown }[] = [];
  try {
    const { parts, report } = await openParts(fileSet, config, registry, tuning, opened);
    return registry.get('engine', parts.config.engineType)(parts, report);
  } catch (error) {
    // What a failed open leaves in flight must be over before its memory goes.
    for (const part of opened.reverse()) await part.close();
    await fileSet.dispose();
    throw error;
  }
}

/**
 * Uses what is left of a store, read-only: no engine runs on it, and nothing of it is changed.
 *
 * @param onDamage takes what would be refused otherwise.
 */
export async function usingDamaged<T>(
  pathOrConfig: string | StoreConfig,
  config: StoreConfig | undefined,
  registry: Registry<Factories>,
  onDamage: OnDamage,
  use: (parts: StoreParts) => Promise<T>,
): Promise<T> {
  const machine = readMachine();
  const resolved = resolveConfig(pathOrConfig, config, { names: registry.allNames(), machine });
  checkTypes(resolved, registry);
  const fileSet = await registry.get('io', resolved.io.type)(resolved);
  return usingDamagedFiles(fileSet, resolved, registry, { ...TUNING, machine, onDamage }, use);
}

/** {@link usingDamaged} of files, which are disposed of. @param config says read_only. */
export async function usingDamagedFiles<T>(
  fileSet: FileSet,
  config: ResolvedConfig,
  registry: Registry<Factories>,
  tuning: Tuning,
  use: (parts: StoreParts) => Promise<T>,
): Promise<T> {
  const opened: { close(): unknown }[] = [];
  try {
    const { parts } = await openParts(fileSet, config, registry, tuning, opened);
    return await use(parts);
  } finally {
    for (const part of opened.reverse()) await part.close();
    await fileSet.dispose();
  }
}

async function openParts(
  fileSet: FileSet,
  asked: ResolvedConfig,
  registry: Registry<Factories>,
  tuning: Tuning,
  opened: { close(): unknown }[],
): Promise<{ readonly parts: StoreParts; readonly report: RecoveryReport }> {
  const manifest = await openManifest(fileSet, asked, tuning.identity);
  opened.push(manifest);
  // What the document leaves out is as the store was made.
  const names = registry.allNames();
  const { machine } = tuning;
  const config = compareWithStored(asked, manifest.current.config, { names, machine });
  checkStoredTypes(config, registry);
  checkTypes(config, registry);
  const { storeId, hashKey } = manifest.current;
  const slots = allocatorPlan(config, registry);
  // A log comes after the values; the second manifest after both.
  const used = manifest.current.generation > 1 || fileSet.list().some(isSegmentFileName);
  const memorySlots = memoryPlan(config, registry);
  const context = { config, fileSet, storeId, used, tuning, slots, memorySlots };
  const makeValues = registry.get('value', config.value.type);
  const values = await madeAsync('value', config.value.type, async () => makeValues(context));
  opened.push(values);
  const valuesPersist = values.capabilities.persistent;
  const newIndex = (): Index =>
    made('index', config.index.type, () => {
      const context = { config, fileSet, hashKey, storeId, tuning, valuesPersist };
      return registry.get('index', config.index.type)(context);
    });
  const index = newIndex();
  opened.push(index);
  if (index.capabilities.comparesWholeHash === true) {
    values.expectKeys?.(hashKey, config.key.type);
  }
  const keys = createKeyCodec(config.key.type, hashKey);
  const meters = new Meters();
  const compaction = tuning.compaction ?? COMPACTION;
  const openIo = registry.get('io', config.io.type);
  const openFiles = (path: string): Promise<FileSet> =>
    openIo({ ...config, path, readOnly: false, createIfMissing: true });
  const parts = {
    ...{ path: config.path, config, fileSet, keys, index, values, manifest, meters, compaction },
    ...{ newIndex, openFiles },
  };

  const current = manifest.current;
  let log: Log | undefined;
  const { onDamage } = tuning;
  const replay = async (apply: OnRecords): Promise<ReplayEnd> => {
    const recovered = await Log.recover(
      fileSet,
      {
        storeId,
        firstSegmentId: current.firstSegmentId,
        startSequence: current.startSequence,
        durableSequence: current.durableSequence,
        segmentBytes: tuning.logSegmentBytes ?? config.log.segmentBytes,
        capacityBytes: tuning.logCapacityBytes ?? config.log.capacityBytes,
        readOnly: config.readOnly,
        onDamage,
        ...(tuning.logGroupBytes === undefined ? {} : { maxGroupBytes: tuning.logGroupBytes }),
      },
      apply,
    );
    log = recovered.log;
    opened.push(log);
    return recovered.report;
  };
  const report = await recover(parts, replay, onDamage);
  let reserve: CheckpointReserve | undefined;
  if (!config.readOnly) {
    reserve = await CheckpointReserve.open(fileSet, () => manifest.current.checkpointId);
    opened.push(reserve);
    // From the first write on, a crash needs the log again.
    if (current.clean) await manifest.write({ clean: false });
  }
  const all: StoreParts = { ...parts, reserve, log: log as unknown as Log };
  return { parts: all, report };
}

/** Every name of the configuration has a factory, before anything is made on disk. */
function checkTypes(config: ResolvedConfig, registry: Registry<Factories>): void {
  registry.get('engine', config.engineType);
  registry.get('index', config.index.type);
  registry.get('value', config.value.type);
  allocatorPlan(config, registry);
  memoryPlan(config, registry);
  registry.get('io', config.io.type);
}

function allocatorPlan(config: ResolvedConfig, registry: Registry<Factories>): SlotPlan {
  const { ssdAllocator } = config.value;
  if (ssdAllocator !== undefined) {
    return registry.get('ssdAllocator', ssdAllocator.type)(config);
  }
  return memoryPlan(config, registry) ?? { sizeClasses: undefined, capacityBytes: 0 };
}

function memoryPlan(config: ResolvedConfig, registry: Registry<Factories>): SlotPlan | undefined {
  const { dramAllocator } = config.value;
  if (dramAllocator === undefined) return undefined;
  return registry.get('dramAllocator', dramAllocator.type)(config);
}

async function openManifest(
  fileSet: FileSet,
  config: ResolvedConfig,
  identity: Identity = { storeId: randomBytes(16), hashKey: randomBytes(16) },
): Promise<ManifestFile> {
  if (!ManifestFile.exists(fileSet)) {
    if (!config.createIfMissing || config.readOnly) {
      throw new CairnError('CAIRN_NOT_FOUND', `there is no store at ${config.path}`, {
        operation: 'open',
        file: config.path,
      });
    }
    refuseFilesWithoutManifest(fileSet);
    return ManifestFile.create(fileSet, {
      ...identity,
      durableSequence: 0,
      checkpointId: 0,
      checkpointBytes: 0,
      checkpointCrc: 0,
      startSequence: 0,
      firstSegmentId: 1,
      clean: false,
      config: toStoredJson(config),
      entries: [],
    });
  }
  if (config.errorIfExists) {
    throw new CairnError('CAIRN_EXISTS', `there is a store at ${config.path} already`, {
      operation: 'open',
      file: config.path,
    });
  }
  return ManifestFile.open(fileSet, { readOnly: config.readOnly });
}

/** The manifest is made before any other file: without it they are what is left of a store. */
function refuseFilesWithoutManifest(fileSet: FileSet): void {
  const left = fileSet
    .list()
    .find((name) => name === VALUES_FILE || isSegmentFileName(name) || isCheckpoint(name));
  if (left === undefined) return;
  throw new CairnError(
    'CAIRN_CORRUPTION',
    `there is no MANIFEST, but ${left} is there: restore the manifest from a copy, or remove ` +
      'the other files (of a backup that was cut off, for example) to begin with an empty store',
    { operation: 'open', file: 'MANIFEST' },
  );
}

function isCheckpoint(name: string): boolean {
  return checkpointFileId(name) !== undefined;
}
