import type { Store } from '../index.js';
import type { Context } from './context.js';
import { describeError, CliError, hasCode } from './errors.js';
import type { ImportSource, Position, SourceEntry } from './import-source.js';
import { loadPosition, removeState, saveState, type ImportIdentity } from './import-state.js';
import { Window, type Lease } from './window.js';

const ENTRIES_IN_FLIGHT_MAX = 256;
const BYTES_IN_FLIGHT_MAX = 64 * 1024 * 1024;
const CHECKPOINT_INTERVAL_MS = 1000;

export interface ImportPlan {
  readonly state: { readonly path: string; readonly identity: ImportIdentity };
  /** Whether an ended run leaves its position behind. */
  readonly keepState: boolean;
}

export interface ImportResult {
  /** Stored by this run. */
  readonly entries: number;
  readonly bytes: number;
  /** Entries of the source that an earlier run had stored. */
  readonly resumedAt: number;
  readonly skipped: Readonly<Record<string, number>>;
}

/** Reads the source to its end. What is reported as done is durable. */
export async function runImport(
  context: Context,
  store: Store,
  source: ImportSource,
  plan: ImportPlan,
): Promise<ImportResult> {
  const { position: from, stale } = await loadPosition(
    plan.state.path,
    plan.state.identity,
    store.size,
  );
  if (stale)
    context.output.note(
      'an earlier import is recorded, but source, store or options have changed: beginning at the top',
    );
  if (from.entries > 0)
    context.output.note(`going on after ${from.entries} entries of an earlier run`);
  const importer = new Importer(context, store, source, plan, from);
  return importer.run();
}

class Importer {
  readonly #window = new Window(ENTRIES_IN_FLIGHT_MAX, BYTES_IN_FLIGHT_MAX);
  /** Of the last entry that was started; it and all before it are done once the window has settled. */
  #position: Position;
  #entries = 0;
  #bytes = 0;
  #checkpoint: Promise<void> | undefined;
  #checkpointFailure: { readonly error: unknown } | undefined;

  constructor(
    private readonly context: Context,
    private readonly store: Store,
    private readonly source: ImportSource,
    private readonly plan: ImportPlan,
    private readonly from: Position,
  ) {
    this.#position = from;
  }

  async run(): Promise<ImportResult> {
    try {
      await this.#readAll();
    } catch (error) {
      await this.#leaveOff();
      throw error;
    }
    await this.store.flush();
    await removeState(this.plan.state.path);
    const { skipped } = this.source;
    return {
      entries: this.#entries,
      bytes: this.#bytes,
      resumedAt: this.from.entries,
      skipped: { ...skipped },
    };
  }

  async #readAll(): Promise<void> {
    const { context, source } = this;
    const quiet = context.output.quiet || context.output.json;
    const total = quiet ? 0 : await source.total(context.signal);
    const progress = context.progress({
      label: 'import',
      unit: source.unit,
      total,
      done: source.unit === 'bytes' ? (this.from.byte ?? 0) : this.from.entries,
    });
    let due = performance.now() + CHECKPOINT_INTERVAL_MS;
    try {
      for await (const entry of source.entries(this.from, context.signal)) {
        await this.#window.start(entry.bytes, (lease) => this.#store(entry, lease));
        this.#position = entry.position;
        progress.update(entry.done);
        if (performance.now() < due) continue;
        due = performance.now() + CHECKPOINT_INTERVAL_MS;
        this.#beginCheckpoint();
      }
      await this.#window.settled();
      await this.#checkpoint;
      this.#throwIfFailed();
    } finally {
      progress.stop();
    }
  }

  async #store(entry: SourceEntry, lease: Lease): Promise<void> {
    const loading = entry.load(lease);
    // Not awaited when it is there already: entries with the same key must reach the store in order.
    const loaded = loading instanceof Promise ? await loading : loading;
    if (loaded === undefined) return;
    try {
      await this.store.put(loaded.key, loaded.value, { durability: 'process' });
    } catch (error) {
      throw nameEntry(error, loaded.name);
    }
    this.#entries++;
    this.#bytes += loaded.value.length;
  }

  /** One at a time and beside the import: a slow sync makes checkpoints rarer, not the import slower. */
  #beginCheckpoint(): void {
    if (this.#checkpoint !== undefined || !this.plan.keepState) return;
    this.#checkpoint = this.#writeCheckpoint()
      .catch((error: unknown) => {
        this.#checkpointFailure ??= { error };
      })
      .finally(() => {
        this.#checkpoint = undefined;
      });
  }

  async #writeCheckpoint(): Promise<void> {
    const position = this.#position;
    await this.#window.settled();
    this.#throwIfFailed();
    await this.store.flush();
    const { path, identity } = this.plan.state;
    await saveState(path, { version: 1, identity, position, storeSize: this.store.size });
  }

  /** After an error or an interrupt: keep what was done, if the store still lets us. */
  async #leaveOff(): Promise<void> {
    await this.#window.settled();
    await this.#checkpoint;
    if (!this.plan.keepState) return;
    await this.#writeCheckpoint().catch(() => undefined);
  }

  #throwIfFailed(): void {
    this.#window.throwIfFailed();
    if (this.#checkpointFailure !== undefined) throw this.#checkpointFailure.error;
  }
}

/** An entry the store does not take is named; a failure of the store itself is left as it is. */
function nameEntry(error: unknown, name: string): unknown {
  const blamesEntry = [
    'CAIRN_INVALID_KEY',
    'CAIRN_INVALID_VALUE',
    'CAIRN_TOO_LARGE',
    'CAIRN_INVALID_ARGUMENT',
  ].some((code) => hasCode(error, code));
  if (!blamesEntry) return error;
  const { message, code, hint } = describeError(error);
  return new CliError('CLI_BAD_INPUT', `${name}: ${code}: ${message}`, {
    cause: error,
    ...(hint === undefined ? {} : { hint }),
  });
}
