import { CairnError } from '../common/errors.js';
import type { CallOptions, DurabilityLevel, IterateOptions, WriteOptions } from './api.js';

const LEVELS: ReadonlySet<string> = new Set(['sync', 'interval', 'process', 'none']);

/**
 * How a call of the interface ends: with a CairnError that names the call, and at its signal. What
 * is no use as options is refused before anything is done.
 */
export function call<T>(
  operation: string,
  options: CallOptions | undefined,
  run: () => Promise<T>,
): Promise<T> {
  try {
    const signal = signalOf(options);
    if (signal === undefined) return run();
    throwIfAborted(signal);
    return abortable(operation, run(), signal);
  } catch (error) {
    return Promise.reject(named(operation, error));
  }
}

/** A synchronous {@link call}: only a signal that has fired before can stop it. */
export function callSync<T>(operation: string, options: CallOptions | undefined, run: () => T): T {
  try {
    throwIfAborted(signalOf(options));
    return run();
  } catch (error) {
    throw named(operation, error);
  }
}

/**
 * A {@link call} that runs code of the caller, looks at the signal itself and ends when what it has
 * begun is over. What the caller's code throws ends it as a signal does.
 */
export async function longCall<T>(
  operation: string,
  options: CallOptions & { readonly progress?: unknown },
  run: () => Promise<T>,
): Promise<T> {
  try {
    throwIfAborted(signalOf(options));
    const { progress } = options;
    if (progress !== undefined && typeof progress !== 'function') {
      throw invalid('progress is a function');
    }
    return await run();
  } catch (error) {
    if (error instanceof CairnError) throw named(operation, error);
    const reason = error instanceof Error ? error.message : String(error);
    const message = `${operation}: what the caller gave threw: ${reason}`;
    throw new CairnError('CAIRN_ABORTED', message, { operation, cause: error });
  }
}

/** @throws CairnError CAIRN_INVALID_ARGUMENT. */
export function signalOf(options: CallOptions | undefined): AbortSignal | undefined {
  if (options === undefined) return undefined;
  if (typeof options !== 'object' || options === null) throw invalid('options is an object');
  const { signal } = options;
  // By its shape: a signal may come from another realm.
  if (signal !== undefined && typeof signal?.addEventListener !== 'function') {
    throw invalid('signal is an AbortSignal');
  }
  return signal;
}

/** @throws CairnError CAIRN_INVALID_ARGUMENT. */
export function levelOf(options: WriteOptions | undefined): DurabilityLevel | undefined {
  if (options === undefined) return undefined;
  signalOf(options);
  const { durability } = options;
  if (durability === undefined || LEVELS.has(durability)) return durability;
  throw invalid(`durability is one of ${[...LEVELS].join(', ')}, not ${String(durability)}`);
}

/** @throws CairnError CAIRN_INVALID_ARGUMENT. */
export function checkKeyEncoding({ keyEncoding }: IterateOptions): void {
  if (keyEncoding === undefined || keyEncoding === 'buffer' || keyEncoding === 'utf8') return;
  throw invalid(`keyEncoding is buffer or utf8, not ${String(keyEncoding)}`);
}

export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw abortError(signal);
}

export function abortError(signal: AbortSignal): CairnError {
  return new CairnError('CAIRN_ABORTED', 'the call was aborted by its signal', {
    cause: signal.reason,
  });
}

/** Adds the operation where the error does not name one. */
export function named(operation: string, error: unknown): Error {
  if (error instanceof CairnError && error.operation === undefined) {
    Object.defineProperty(error, 'operation', { value: operation, enumerable: true });
  }
  return error as Error;
}

export function invalid(message: string): CairnError {
  return new CairnError('CAIRN_INVALID_ARGUMENT', message);
}

/**
 * The entries of `source` until the signal fires, although the next one may never come. A source that
 * is waited for is told to end and not waited for.
 */
export function untilAborted<T>(
  source: AsyncIterable<T>,
  signal: AbortSignal | undefined,
): AsyncIterable<T> {
  if (signal === undefined) return source;
  return {
    [Symbol.asyncIterator]: () => abortableIterator(source[Symbol.asyncIterator](), signal),
  };
}

function abortableIterator<T>(source: AsyncIterator<T>, signal: AbortSignal): AsyncIterator<T> {
  // One listener for all entries: to add and remove one costs more than most entries do.
  let refuse = (_error: CairnError): void => undefined;
  const onAbort = (): void => {
    refuse(abortError(signal));
    void Promise.resolve()
      .then(() => source.return?.())
      .catch(() => undefined);
  };
  signal.addEventListener('abort', onAbort, { once: true });
  const off = (): void => signal.removeEventListener('abort', onAbort);
  return {
    next: () =>
      new Promise((resolve, reject) => {
        refuse = reject;
        throwIfAborted(signal);
        Promise.resolve(source.next()).then((step) => {
          if (step.done === true) off();
          resolve(step);
        }, reject);
      }),
    return: async () => {
      off();
      if (!signal.aborted) await source.return?.();
      return { done: true, value: undefined };
    },
  };
}

/** Rejects early when the signal fires; the work itself goes on and ends by itself. */
export function abortable<T>(operation: string, work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(named(operation, abortError(signal)));
    signal.addEventListener('abort', onAbort, { once: true });
    const failed = (error: unknown): void => reject(named(operation, error));
    work.then(resolve, failed).finally(() => signal.removeEventListener('abort', onAbort));
  });
}
