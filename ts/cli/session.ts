import { readFileSync } from 'node:fs';
import type { Store } from '../index.js';
import type { Context, RawConfig } from './context.js';
import { keyCodec, type ByteEncoding, type KeyCodec, type KeyType } from './encoding.js';
import { hasCode, usageError } from './errors.js';

/** Options of every command that opens a store. */
export interface StoreOptions {
  /** Left out: what the store was made with; `bytes` for a new one. */
  readonly keyType?: KeyType;
  readonly keyEncoding?: ByteEncoding;
  /** A file of JSON, or the JSON itself. */
  readonly config?: string;
  readonly lockTimeoutMs?: number;
}

/** read: must be there, nothing is written. write: must be there. create: made when it is not. */
export type AccessMode = 'read' | 'write' | 'create';

export interface Session {
  readonly store: Store;
  readonly codec: KeyCodec;
}

/** Opens the store, runs `work`, closes the store whatever happens in between. */
export async function withStore<T>(
  context: Context,
  path: string,
  options: StoreOptions,
  mode: AccessMode,
  work: (session: Session) => Promise<T>,
): Promise<T> {
  const session = await openSession(context, path, options, mode);
  let result: T;
  try {
    result = await work(session);
  } catch (error) {
    // The first error is the one to report; closing tends to fail for the same reason.
    await session.store.close().catch(() => undefined);
    throw error;
  }
  await session.store.close();
  return result;
}

async function openSession(
  context: Context,
  path: string,
  options: StoreOptions,
  mode: AccessMode,
): Promise<Session> {
  const config = { ...readConfig(options.config), ...accessFields(mode, options) };
  const type = options.keyType ?? configuredKeyType(config);
  const attempt = async (keyType: KeyType): Promise<Session> => {
    const codec = keyCodec(keyType, options.keyEncoding);
    context.signal.throwIfAborted();
    return { store: await context.host.open(path, { ...config, key: { type: keyType } }), codec };
  };
  if (type !== undefined) return attempt(type);
  try {
    return await attempt('bytes');
  } catch (error) {
    if (!hasCode(error, 'CAIRN_INCOMPATIBLE')) throw error;
    // Most likely a store of u64 keys. When something else differs as well, the first answer stands.
    return attempt('u64').catch((second: unknown) => {
      throw hasCode(second, 'CAIRN_INCOMPATIBLE') ? error : second;
    });
  }
}

function accessFields(mode: AccessMode, options: StoreOptions): RawConfig {
  return {
    create_if_missing: mode === 'create',
    ...(mode === 'read' ? { read_only: true } : {}),
    ...(options.lockTimeoutMs === undefined ? {} : { lock_timeout_ms: options.lockTimeoutMs }),
  };
}

function configuredKeyType(config: RawConfig): KeyType | undefined {
  const key = config['key'];
  if (typeof key !== 'object' || key === null) return undefined;
  const type = (key as Readonly<Record<string, unknown>>)['type'];
  return type === 'u64' || type === 'bytes' ? type : undefined;
}

/** The document itself is checked by the store: only that it is an object is checked here. */
export function readConfig(source: string | undefined): RawConfig {
  if (source === undefined) return {};
  const inline = source.trimStart().startsWith('{');
  let parsed: unknown;
  try {
    parsed = JSON.parse(inline ? source : readFileSync(source, 'utf8'));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw usageError(`--config: ${reason}`, 'Give a file of JSON, or the JSON object itself.');
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
    throw usageError('--config: not a JSON object');
  }
  return parsed as RawConfig;
}
