/** cairn-kv: an embedded key-value storage engine. @see README.md */
export { open, type OpenOptions } from './engine/open.js';
export { createRegistry } from './engine/builtins.js';
export { CairnError, type ConfigProblem, type ErrorCode } from './common/errors.js';
export type { StoreConfig } from './config/types.js';
export type {
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
