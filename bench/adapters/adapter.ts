/**
 * What a benchmark asks of an engine. Each adapter does it in the fastest way the engine's own
 * documentation offers, at the durability that the row states; results are private copies.
 */
export type KeyKind = 'u64' | 'text';

export interface OpenOptions {
  readonly directory: string;
  readonly keys: KeyKind;
  /**
   * `memory`: the values fit and are to be answered from memory. `device`: they do not and are not
   * cached. `default`: on the device, with whatever cache the engine has of itself.
   */
  readonly values: 'memory' | 'device' | 'default';
  readonly valueBytes: number;
  readonly entries: number;
  /**
   * `each`: a put resolves when it survives power loss. `end`: puts may be buffered, {@link
   * Engine.settle} makes them durable.
   */
  readonly durability: 'each' | 'end';
  /** Fields of cairn's configuration document that the row is about. */
  readonly document?: Readonly<Record<string, unknown>>;
}

/** A key as the engine likes it best, made before the clock runs. */
export type EngineKey = string | number | Uint8Array;

export interface Counters {
  readonly puts: number;
  readonly logGroups: number;
  readonly logBytes: number;
  readonly deviceReads: number;
  readonly deviceReadBytes: number;
  /** Reads of an index that lies on the device. */
  readonly indexReads: number;
  /** Gets that a copy in memory answered, and copies made of what was read. */
  readonly tierHits: number;
  readonly promotions: number;
  readonly deviceWriteBytes: number;
  readonly indexBytes: number;
  readonly indexEntries: number;
  /** O_DIRECT in use, for engines that know. */
  readonly direct: boolean;
  readonly backend: string;
  readonly recoveryMilliseconds: number;
  readonly recoveredRecords: number;
}

export type LoadForm =
  /** One buffer of fixed rows and the array of their u64 keys. */
  | 'rows'
  /** An iterable of [key, value]. */
  | 'pairs'
  /** Batches of 1000, as peers load. */
  | 'batches';

export interface Engine {
  readonly name: string;
  key(identity: number): EngineKey;
  /** Makes what {@link load} wants of the caller's data, before the clock runs: keys cost as well. */
  prepareLoad(all: Uint32Array, form: LoadForm, rows: Uint8Array | null): unknown;
  /**
   * Loads what was prepared; durable when it resolves.
   *
   * @param value of the entry with this identity, where the values are not in rows.
   */
  load(prepared: unknown, value: (identity: number) => Uint8Array): Promise<void>;
  getSync(key: EngineKey): Uint8Array | undefined;
  get(key: EngineKey): Promise<Uint8Array | undefined>;
  put(key: EngineKey, value: Uint8Array): Promise<void>;
  /** Only where the engine has one that is durable when it returns. */
  putSync?(key: EngineKey, value: Uint8Array): void;
  /** Whatever {@link gather} wants of one batch of identities. */
  prepareBatch(all: Uint32Array): unknown;
  /** Rows of the batch one after the other in `rows`. @returns how many were found. */
  gather(batch: unknown, rows: Uint8Array, rowBytes: number): Promise<number>;
  /** Private copies of all values of a batch of {@link prepareBatch}. @returns how many were found. */
  batchGet?(batch: unknown): Promise<number>;
  checkpoint?(): Promise<void>;
  /**
   * Makes all durable and, after a load, waits until nothing runs in the background: reads are
   * measured on a store at its best.
   */
  settle(loaded: boolean): Promise<void>;
  counters(): Counters | null;
  close(): Promise<void>;
}

export type OpenEngine = (options: OpenOptions) => Promise<Engine>;

export const PEER_BATCH = 1000;

/** Identities and their keys in the same order: what engines without a form of their own load. */
export interface KeyedEntries {
  readonly all: Uint32Array;
  readonly keys: readonly EngineKey[];
}
