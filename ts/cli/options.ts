import { InvalidArgumentError, Option, type Command } from 'commander';
import { BYTE_ENCODINGS, KEY_TYPES, VALUE_ENCODINGS, type ValueEncoding } from './encoding.js';
import type { DurabilityLevel } from '../index.js';

/** Options that several commands share, so that they are spelled and explained once. */

export function addStoreOptions(command: Command): Command {
  return command
    .addOption(
      new Option(
        '--key-type <type>',
        'type of the keys; must agree with the store (default: as the store)',
      ).choices([...KEY_TYPES]),
    )
    .addOption(
      new Option('--key-encoding <encoding>', 'how keys are written (default: utf8)').choices([
        ...BYTE_ENCODINGS,
      ]),
    )
    .option('--config <file|json>', 'configuration document of the store')
    .option(
      '--lock-timeout-ms <ms>',
      'how long to wait while another process holds the store',
      parseWhole,
    );
}

export function addValueEncoding(command: Command, fallback: string): Command {
  return command.addOption(
    new Option(
      '--value-encoding <encoding>',
      `how values are written (default: ${fallback})`,
    ).choices([...VALUE_ENCODINGS]),
  );
}

export interface ValueOptions {
  readonly valueEncoding?: ValueEncoding;
}

export function addDurability(command: Command): Command {
  return command.addOption(
    new Option(
      '--durability <level>',
      'what must have happened when the command ends (default: as the store, sync)',
    ).choices(['sync', 'interval', 'process', 'none']),
  );
}

export interface DurabilityOptions {
  readonly durability?: DurabilityLevel;
}

/** For commander: a whole number of 0 or more. */
export function parseWhole(text: string): number {
  const value = Number(text);
  if (!/^[0-9]+$/.test(text) || !Number.isSafeInteger(value)) {
    throw new InvalidArgumentError('Expected a whole number of 0 or more.');
  }
  return value;
}

/** For commander: a whole number of 1 or more. */
export function parsePositive(text: string): number {
  const value = parseWhole(text);
  if (value === 0) throw new InvalidArgumentError('Expected a whole number of 1 or more.');
  return value;
}
