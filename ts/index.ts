/** cairn-kv: an embedded key-value storage engine. @see README.md */
export { open, type OpenOptions } from './engine/open.js';
export { repair, type RepairOptions, type RepairReport } from './engine/repair.js';
export { restore, type RestoreOptions } from './engine/restore.js';
export { createRegistry, openDirectoryFiles, openMemoryFiles } from './engine/builtins.js';
export type {
  Factories,
  FileSet,
  IndexContext,
  RecoveryReport,
  SlotPlan,
  StoreParts,
  Tuning,
  ValueStoreContext,
} from './engine/factories.js';
export { Registry } from './registry/registry.js';
export type { Slot } from './config/names.js';
export { KeyHasher, type KeyHash } from './index/key-hash.js';
export {
  INDEX_CURSOR_END,
  type Index,
  type IndexCapabilities,
  type IndexChunk,
  type IndexHandles,
} from './index/index.js';
export {
  PENDING,
  type CopyHold,
  type Handle,
  type Pending,
  type StoredRecord,
  type TierStats,
  type ValueStore,
  type ValueStoreCapabilities,
  type ValueStoreStats,
} from './value-store/value-store.js';
export { CairnError, type ConfigProblem, type ErrorCode } from './common/errors.js';
export type { ResolvedConfig, StoreConfig } from './config/types.js';
export type {
  BackupOptions,
  BackupProgress,
  BackupReport,
  BatchOperation,
  CallOptions,
  DurabilityLevel,
  GatherResult,
  IterateOptions,
  Key,
  LatencySummary,
  LoadOptions,
  LoadProgress,
  LoadSource,
  RowSource,
  Store,
  StoredKey,
  StoreStats,
  Value,
  VerifyOptions,
  VerifyReport,
  WriteOptions,
} from './engine/api.js';
