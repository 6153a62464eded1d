/** What the command line prints when something goes wrong, and with which exit code it ends. */

export const EXIT_OK = 0;
/** The operation failed, damage was found, or a key is not there. */
export const EXIT_FAILED = 1;
export const EXIT_USAGE = 2;

export type CliErrorCode =
  | 'CLI_USAGE'
  | 'CLI_KEY_NOT_FOUND'
  | 'CLI_DAMAGED'
  | 'CLI_BAD_INPUT'
  | 'CLI_NOT_TEXT'
  | 'CLI_REFUSED'
  | 'CLI_MISSING'
  | 'CLI_INTERRUPTED';

/** An error of the command line itself; those of the store are CairnErrors. */
export class CliError extends Error {
  override readonly name = 'CliError';
  readonly hint: string | undefined;
  constructor(
    readonly code: CliErrorCode,
    message: string,
    options: { readonly hint?: string; readonly cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.hint = options.hint;
  }
}

export function usageError(message: string, hint?: string): CliError {
  return new CliError('CLI_USAGE', message, hint === undefined ? {} : { hint });
}

/** The shape printed on stderr with `--json`, inside `{"error": ...}`. */
export interface ErrorReport {
  readonly code: string;
  readonly message: string;
  readonly hint?: string;
  readonly operation?: string;
  readonly file?: string;
  readonly offset?: number;
  readonly cause?: string;
}

/** What to do about each code of the store. */
const ADVICE: ReadonlyMap<string, string> = new Map([
  ['CAIRN_INVALID_CONFIG', 'Correct the named fields in --config or the options.'],
  ['CAIRN_INVALID_ARGUMENT', 'Check the arguments against `cairn <command> --help`.'],
  [
    'CAIRN_INVALID_KEY',
    'Keys are 1 to 65536 bytes, or integers of 0 to 2^64 - 1 with --key-type u64.',
  ],
  ['CAIRN_INVALID_VALUE', 'A value is a string or bytes, at most 64 MiB of them.'],
  [
    'CAIRN_UNSUPPORTED',
    'This store or this host cannot do that; `cairn doctor` shows what the host offers.',
  ],
  [
    'CAIRN_NO_SPACE',
    'Free space on the file system, or raise the capacity in --config, and run it again.',
  ],
  [
    'CAIRN_IO',
    'Look into the kernel log (dmesg) for the device; after a failed write, reopen the store.',
  ],
  [
    'CAIRN_CORRUPTION',
    'Restore a backup, or save what checks: `cairn verify` lists the damage, `cairn repair` makes a new store.',
  ],
  [
    'CAIRN_LOCKED',
    'Another process has the store open: end it, or wait longer with --lock-timeout-ms.',
  ],
  ['CAIRN_CLOSED', 'The store was closed while the command ran; run it again.'],
  [
    'CAIRN_READ_ONLY',
    'The store or its file system is read-only: check permissions and mount options.',
  ],
  ['CAIRN_NOT_FOUND', 'Check the path; `cairn put` and `cairn import` create a store.'],
  ['CAIRN_EXISTS', 'Choose another path, or leave out error_if_exists.'],
  [
    'CAIRN_INCOMPATIBLE',
    'Open the store with the configuration it was made with (--key-type, --config).',
  ],
  [
    'CAIRN_ADDON_MISSING',
    'Build the native addon with `npm rebuild cairn-kv` (needs a C++20 compiler and CMake).',
  ],
  ['CAIRN_TOO_LARGE', 'Split the value: one entry holds at most 64 MiB.'],
]);

const SYSTEM_ADVICE: ReadonlyMap<string, string> = new Map([
  ['ENOENT', 'Check the path.'],
  ['EACCES', 'Check the permissions of the path.'],
  ['EPERM', 'Check the permissions of the path.'],
  ['EEXIST', 'Choose another path, or pass --overwrite.'],
  ['ENOSPC', 'Free space on the file system and run it again.'],
  ['EROFS', 'The file system is mounted read-only.'],
  ['EMFILE', 'Raise the limit of open files (ulimit -n).'],
]);

/** What the store says of a path it may not use helps more than what it says of any device. */
function adviceFor(code: string, cause: unknown): string | undefined {
  const errno = (cause as { readonly errno?: unknown } | undefined)?.errno;
  const refused = errno === 'EACCES' || errno === 'EPERM';
  return refused ? SYSTEM_ADVICE.get(errno) : (ADVICE.get(code) ?? SYSTEM_ADVICE.get(code));
}

/** Flattens any thrown value into a report. Never throws. */
export function describeError(error: unknown): ErrorReport {
  if (!(error instanceof Error)) return { code: 'UNEXPECTED', message: String(error) };
  const fields = error as Error & Readonly<Record<string, unknown>>;
  const code = typeof fields['code'] === 'string' ? fields['code'] : 'UNEXPECTED';
  const hint = error instanceof CliError ? error.hint : adviceFor(code, error.cause);
  const file = fields['file'] ?? fields['path'];
  return {
    code,
    message: error.message,
    ...(hint === undefined ? {} : { hint }),
    ...(typeof fields['operation'] === 'string' ? { operation: fields['operation'] } : {}),
    ...(typeof file === 'string' ? { file } : {}),
    ...(typeof fields['offset'] === 'number' ? { offset: fields['offset'] } : {}),
    ...(error.cause instanceof Error ? { cause: error.cause.message } : {}),
  };
}

/** What was asked for was wrong (2), or it was right and did not work (1). */
export function exitCodeOf(report: ErrorReport): number {
  return report.code === 'CLI_USAGE' || report.code === 'CAIRN_INVALID_CONFIG'
    ? EXIT_USAGE
    : EXIT_FAILED;
}

/** The lines for people: code and message, where it was, what to do. */
export function renderError(report: ErrorReport): string {
  const where = [
    report.operation === undefined ? '' : `operation ${report.operation}`,
    report.file === undefined || report.message.includes(report.file) ? '' : report.file,
    report.offset === undefined ? '' : `offset ${report.offset}`,
  ].filter((part) => part !== '');
  const lines = [`cairn: ${report.code}: ${report.message}`];
  if (where.length > 0) lines.push(`  at: ${where.join(', ')}`);
  if (report.cause !== undefined && !report.message.includes(report.cause))
    lines.push(`  cause: ${report.cause}`);
  if (report.hint !== undefined) lines.push(`  what to do: ${report.hint}`);
  return `${lines.join('\n')}\n`;
}

export function hasCode(error: unknown, code: string): boolean {
  return (
    error instanceof Error && (error as Error & Readonly<Record<string, unknown>>)['code'] === code
  );
}
