import { parseArgs, type ParseArgsConfig } from 'node:util';

type Options = NonNullable<ParseArgsConfig['options']>;

/** The options of a runner. `--help` prints `usage` and ends with 0; a wrong option ends with 2. */
export function readOptions<const O extends Options>(
  usage: string,
  options: O,
): ReturnType<typeof parseArgs<{ options: O }>>['values'] {
  if (process.argv.includes('--help')) {
    process.stdout.write(usage);
    process.exit(0);
  }
  try {
    return parseArgs({ options }).values;
  } catch (error) {
    return endWith(error, usage);
  }
}

/** A whole number of `least` or more; anything else ends the process with 2. */
export function readCount(option: string, text: string, least = 0): number {
  const value = Number(text);
  if (text !== '' && Number.isSafeInteger(value) && value >= least) return value;
  return endWith(
    new RangeError(`--${option} takes a whole number from ${least} on, not '${text}'`),
  );
}

/** Says what is wrong with what was asked for, and ends the process with 2. */
export function endWith(error: unknown, usage = ''): never {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n${usage}`);
  process.exit(2);
}
