import { Command, CommanderError } from 'commander';
import { addBackup, addRestore } from './backup.js';
import { addCount } from './count.js';
import { addBench, shieldBenchArguments } from './bench.js';
import { createContext, type Context, type Host } from './context.js';
import { addDel } from './del.js';
import { addDoctor } from './doctor.js';
import {
  describeError,
  EXIT_OK,
  EXIT_USAGE,
  exitCodeOf,
  renderError,
  usageError,
} from './errors.js';
import { addExport } from './export.js';
import { addGet } from './get.js';
import { addImport } from './import.js';
import { Output } from './output.js';
import { addPut } from './put.js';
import { addRepair } from './repair.js';
import { addScan } from './scan.js';
import { addStat } from './stat.js';
import { addVerify } from './verify.js';

/** Runs a command's body; what it returns becomes the exit code. */
export type Runner = (body: (context: Context) => Promise<number>) => Promise<void>;

interface GlobalOptions {
  readonly json?: boolean;
  readonly quiet?: boolean;
  readonly color: boolean;
}

const BROKEN_PIPE = new Error('the reader of stdout has gone');

/**
 * One run of the command line.
 *
 * @param argv what follows the program's name.
 * @param interrupt aborted when the process is told to end.
 * @returns the exit code. Never rejects.
 */
export async function runCli(
  argv: readonly string[],
  host: Host,
  interrupt: AbortSignal,
): Promise<number> {
  let exitCode = EXIT_OK;
  const abort = new AbortController();
  const onInterrupt = (): void => abort.abort(interrupt.reason);
  if (interrupt.aborted) onInterrupt();
  else interrupt.addEventListener('abort', onInterrupt, { once: true });

  // Errors in the options themselves come before the options are known.
  const json = argv.slice(0, separator(argv)).includes('--json');
  const program = createProgram(host);
  const run: Runner = async (body) => {
    const options = program.opts<GlobalOptions>();
    const output = new Output(
      host.stdout,
      host.stderr,
      options.json === true,
      options.quiet === true,
      wantsColour(host, options.color),
      (error) => abort.abort(error.code === 'EPIPE' ? BROKEN_PIPE : error),
    );
    exitCode = await body(createContext(host, output, abort.signal));
    await output.settled();
    // What the command has found counts, whether somebody read it or not.
    if (output.broken && abort.signal.reason !== BROKEN_PIPE) throw abort.signal.reason;
  };
  addCommands(program, run);

  try {
    if (argv.length === 0) {
      host.stderr.write(program.helpInformation());
      return EXIT_USAGE;
    }
    await program.parseAsync(shieldBenchArguments(argv), { from: 'user' });
  } catch (error) {
    exitCode = report(error, host, json, abort.signal);
  } finally {
    interrupt.removeEventListener('abort', onInterrupt);
  }
  return exitCode;
}

function createProgram(host: Host): Command {
  return new Command('cairn')
    .description('Embedded key-value storage engine: command line')
    .version(host.version, '-V, --version')
    .option('--json', 'machine-readable output on stdout, errors as JSON on stderr')
    .option('-q, --quiet', 'no progress and no remarks')
    .option('--no-color', 'no colours (also: NO_COLOR, or no terminal)')
    .showHelpAfterError(false)
    .helpCommand(true)
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({
      writeOut: (text) => void host.stdout.write(text),
      writeErr: (text) => void host.stderr.write(text),
      outputError: () => undefined, // report() prints it, in the form asked for
    })
    .addHelpText('after', '\nExit codes: 0 done, 1 failed (damage, no such key), 2 wrong usage.')
    .exitOverride();
}

function addCommands(program: Command, run: Runner): void {
  const adders = [
    addGet,
    addPut,
    addDel,
    addScan,
    addCount,
    addImport,
    addExport,
    addStat,
    addVerify,
    addRepair,
    addBackup,
    addRestore,
    addDoctor,
    addBench,
  ];
  for (const add of adders) add(program, run);
}

function report(error: unknown, host: Host, json: boolean, signal: AbortSignal): number {
  if (signal.aborted && signal.reason === BROKEN_PIPE) return EXIT_OK;
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) return EXIT_OK; // --help, --version
    // `cairn help` of an unknown command has printed the help already.
    if (error.code === 'commander.help') return EXIT_USAGE;
    return print(
      usageError(
        error.message.replace(/^error: /, ''),
        'See `cairn --help` and `cairn <command> --help`.',
      ),
      host,
      json,
    );
  }
  if (signal.aborted) return print(interrupted(signal), host, json);
  return print(error, host, json);
}

function print(error: unknown, host: Host, json: boolean): number {
  const described = describeError(error);
  host.stderr.write(json ? `${JSON.stringify({ error: described })}\n` : renderError(described));
  return exitCodeOf(described);
}

function interrupted(signal: AbortSignal): unknown {
  return signal.reason instanceof Error ? signal.reason : new Error('interrupted');
}

/** https://no-color.org: any value but the empty one. */
function wantsColour(host: Host, option: boolean): boolean {
  const { NO_COLOR: noColour, TERM: terminal } = host.env;
  if (!option || terminal === 'dumb') return false;
  return (noColour === undefined || noColour === '') && host.stdout.isTTY === true;
}

/** Where `--` stands: what follows are keys and values, not options. */
function separator(argv: readonly string[]): number {
  const at = argv.indexOf('--');
  return at === -1 ? argv.length : at;
}
