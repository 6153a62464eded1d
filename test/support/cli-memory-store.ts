import { once } from 'node:events';
import { Readable, Writable } from 'node:stream';
import { mkdir } from 'node:fs/promises';
import type { Host, OpenStore, RawConfig } from '../../ts/cli/context.js';
import { runCli } from '../../ts/cli/program.js';
import type { Key, Store, StoredKey } from '../../ts/index.js';

/** Stores by path, kept between opens: what a file system is to the real ones. */
export class MemoryStores {
  readonly stores = new Map<string, MemoryStore>();
  readonly opened: RawConfig[] = [];
  /** Runs before each put: tests make it fail or wait. */
  beforePut: (key: Key, count: number) => Promise<void> | void = () => undefined;

  open: OpenStore = async (path, config) => {
    this.opened.push(config);
    const type = (config['key'] as { type?: string } | undefined)?.type ?? 'bytes';
    let store = this.stores.get(path);
    if (store === undefined) {
      if (config['create_if_missing'] === false)
        throw fail('CAIRN_NOT_FOUND', `no store at ${path}`);
      store = new MemoryStore(path, type, this);
      this.stores.set(path, store);
      if (path.startsWith('/')) await mkdir(path, { recursive: true });
    }
    if (store.type !== type)
      throw fail('CAIRN_INCOMPATIBLE', `key.type is ${store.type}, not ${type}`);
    store.closed = false;
    return store as unknown as Store;
  };
}

export function fail(code: string, message: string): Error {
  return Object.assign(new Error(message), { code, name: 'CairnError' });
}

/** The part of a store that the command line uses. */
export class MemoryStore {
  readonly data = new Map<string, Buffer>();
  closed = false;
  flushes = 0;
  puts = 0;
  putsInFlight = 0;
  putsInFlightMax = 0;
  damaged: { file: string; offset: number; reason: string }[] = [];

  constructor(
    readonly path: string,
    readonly type: string,
    private readonly owner: MemoryStores,
  ) {}

  get size(): number {
    return this.data.size;
  }
  async put(key: Key, value: Uint8Array): Promise<void> {
    const name = this.#name(key);
    this.putsInFlightMax = Math.max(this.putsInFlightMax, ++this.putsInFlight);
    try {
      await this.owner.beforePut(key, ++this.puts);
      this.data.set(name, Buffer.from(value));
    } finally {
      this.putsInFlight--;
    }
  }
  get(key: Key): Promise<Buffer | undefined> {
    return Promise.resolve(this.data.get(this.#name(key)));
  }
  delete(key: Key): Promise<boolean> {
    return Promise.resolve(this.data.delete(this.#name(key)));
  }
  async *entries({ signal }: { signal?: AbortSignal } = {}): AsyncIterableIterator<
    [StoredKey, Buffer]
  > {
    for (const [name, value] of this.data) {
      if (signal?.aborted === true) throw fail('CAIRN_ABORTED', 'aborted');
      await Promise.resolve();
      yield [this.type === 'u64' ? BigInt(name) : Buffer.from(name, 'latin1'), value];
    }
  }
  async *keys(options: { signal?: AbortSignal } = {}): AsyncIterableIterator<StoredKey> {
    for await (const [key] of this.entries(options)) yield key;
  }
  verify(): Promise<unknown> {
    return Promise.resolve({
      records: this.size,
      bytes: 10,
      damaged: this.damaged,
      damagedCount: this.damaged.length,
    });
  }
  stats(): unknown {
    return {
      path: this.path,
      entries: this.size,
      io: { backend: 'POSIX', direct: true, degraded: ['memlock'] },
    };
  }
  flush(): Promise<void> {
    this.flushes++;
    return Promise.resolve();
  }
  close(): Promise<void> {
    this.closed = true;
    return Promise.resolve();
  }

  #name(key: Key): string {
    if (this.closed) throw fail('CAIRN_CLOSED', 'closed');
    if (this.type === 'u64') return BigInt(key as bigint).toString();
    const bytes = Buffer.from(key as Uint8Array);
    if (bytes.length === 0) throw fail('CAIRN_INVALID_KEY', 'the key is empty');
    return bytes.toString('latin1');
  }
}

export interface CliResult {
  readonly code: number;
  readonly stdout: string;
  readonly stdoutBytes: Buffer;
  readonly stderr: string;
}

/** Runs the command line in this process, with the stores of `stores`. */
export async function runWith(
  stores: MemoryStores,
  argv: readonly string[],
  options: { readonly stdin?: string | Buffer | Readable; readonly interrupt?: AbortSignal } = {},
): Promise<CliResult> {
  const stdout = collector();
  const stderr = collector();
  const input = options.stdin ?? '';
  const host: Host = {
    open: stores.open,
    stdin: input instanceof Readable ? input : Readable.from([Buffer.from(input)]),
    stdout,
    stderr,
    env: {},
    version: '1.2.3',
  };
  const code = await runCli(argv, host, options.interrupt ?? new AbortController().signal);
  stdout.end();
  stderr.end();
  for (const stream of [stdout, stderr]) if (!stream.writableFinished) await once(stream, 'finish');
  return { code, stdout: stdout.text(), stdoutBytes: stdout.bytes(), stderr: stderr.text() };
}

function collector(): Writable & { text(): string; bytes(): Buffer } {
  const chunks: Buffer[] = [];
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      chunks.push(Buffer.from(chunk));
      done();
    },
  });
  const bytes = (): Buffer => Buffer.concat(chunks);
  return Object.assign(stream, { bytes, text: () => bytes().toString('utf8') });
}
