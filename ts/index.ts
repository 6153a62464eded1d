/** cairn-kv: an embedded key-value storage engine. @see README.md */
export { open, type OpenOptions } from './engine/open.js';
export { restore, type RestoreOptions } from './engine/restore.js';
export { createRegistry } from './engine/builtins.js';
export { CairnError, type ConfigProblem, type ErrorCode } from './common/errors.js';
export type { StoreConfig } from './config/types.js';
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
