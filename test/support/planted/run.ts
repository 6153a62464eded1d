// Plants one mistake after the other into a copy of the tree and shows that the ordinary tests see
// each of them. First the same tests run without any.
//
//   npm run test:planted
//   npm run test:planted -- --only log-sync-skipped
//
// The last line is 'N of N caught'.
import { fileURLToPath } from 'node:url';
import { readOptions } from '../options.js';
import { describeCheck, type Check, type Plant } from './plant.js';
import { PLANTS } from './plants.js';
import { Scratch, type Outcome } from './scratch.js';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const REPLAY_MS = 10_000;
const NAME_COLUMNS = Math.max(...PLANTS.map(({ name }) => name.length));

const USAGE = `Options:
  --only NAME     this plant; may be given several times, or the beginning of names
  --skip-clean    do not run the tests without a plant first
  --list          what there is
`;

async function main(): Promise<number> {
  const values = readOptions(USAGE, {
    only: { type: 'string', multiple: true },
    'skip-clean': { type: 'boolean', default: false },
    list: { type: 'boolean', default: false },
  });
  const { only } = values;
  const plants = PLANTS.filter(
    ({ name }) => only === undefined || only.some((begin) => name.startsWith(begin)),
  );
  if (plants.length === 0) throw new RangeError(`no plant is called ${only?.join(', ')}`);
  if (values.list) {
    for (const { name, what, caughtBy } of plants) {
      say(`${name.padEnd(NAME_COLUMNS)}  ${what}; ${describeCheck(caughtBy)}`);
    }
    return 0;
  }
  const scratch = new Scratch(ROOT);
  if (!values['skip-clean'] && !(await passWithoutPlants(scratch, plants))) return 1;
  let caught = 0;
  for (const plant of plants) if (await isCaught(scratch, plant)) caught++;
  say(`${caught} of ${plants.length} caught`);
  return caught === plants.length ? 0 : 1;
}

/** A test that fails anyway catches nothing. */
async function passWithoutPlants(scratch: Scratch, plants: readonly Plant[]): Promise<boolean> {
  const checks = new Map<string, Check>();
  for (const { caughtBy } of plants) checks.set(describeCheck(caughtBy), caughtBy);
  let passed = true;
  for (const [text, check] of checks) {
    const began = performance.now();
    await scratch.build(check);
    const outcome = await scratch.run(check);
    const ran = outcome.passed && ranSomething(outcome);
    say(
      `${'without a plant'.padEnd(NAME_COLUMNS)}  ${ran ? 'passed' : 'FAILED'}: ${text}, ${since(began)}`,
    );
    if (ran) continue;
    say(outcome.output.slice(-4000));
    passed = false;
  }
  return passed;
}

function ranSomething({ output }: Outcome): boolean {
  return /^\s*[1-9]\d* (passed|passing)/m.test(output);
}

async function isCaught(scratch: Scratch, plant: Plant): Promise<boolean> {
  const began = performance.now();
  scratch.plant(plant);
  try {
    await scratch.build(plant.caughtBy);
    const outcome = await scratch.run(plant.caughtBy);
    const verdict = outcome.passed ? 'NOT CAUGHT' : 'caught';
    const by = describeCheck(plant.caughtBy);
    say(`${plant.name.padEnd(NAME_COLUMNS)}  ${plant.what}`);
    say(`${''.padEnd(NAME_COLUMNS)}  ${verdict} by ${by}, ${since(began)}`);
    if (outcome.passed) return false;
    say(`${''.padEnd(NAME_COLUMNS)}  ${firstFailure(outcome.output)}`);
    return plant.caughtBy.kind !== 'crash' || (await isReplayed(scratch, outcome));
  } finally {
    scratch.revert(plant);
  }
}

/** A violation comes with what repeats it, in ten seconds. */
async function isReplayed(scratch: Scratch, { output }: Outcome): Promise<boolean> {
  const token = /^VIOLATION .*\n.*\n.*--replay (\S+)$/m.exec(output)?.[1];
  if (token === undefined) {
    say(`${''.padEnd(NAME_COLUMNS)}  NOT REPLAYED: it has no token`);
    return false;
  }
  const began = performance.now();
  const { passed } = await scratch.replay(token);
  const repeated = !passed && performance.now() - began < REPLAY_MS;
  const verdict = repeated ? 'replayed' : passed ? 'NOT REPLAYED' : 'REPLAYED TOO SLOWLY';
  say(`${''.padEnd(NAME_COLUMNS)}  ${verdict} by ${token}, ${since(began)}`);
  return repeated;
}

/** What the test said, in one line. */
function firstFailure(output: string): string {
  const patterns = [
    // A violation, and the line below it.
    /^VIOLATION .*\n\s+(.*\n.*)$/m,
    /^\s*(FAILED .*)$/m,
    // Mocha's list of failures: the title, then the message.
    /^\s+1\) [^]*?\n\s*\n?\s+((?:\w*Error|Uncaught|CairnError).*)$/m,
    /^(.*(?:assertion|AddressSanitizer).*)$/im,
    /^\s+1\) (.*)$/m,
  ];
  for (const pattern of patterns) {
    const found = pattern.exec(output)?.[1];
    if (found !== undefined) return found.replace(/\s+/g, ' ').slice(0, 300);
  }
  return output.trim().split('\n').at(-1)?.slice(0, 160) ?? 'without a word';
}

function since(began: number): string {
  return `${((performance.now() - began) / 1000).toFixed(0)} s`;
}

function say(text: string): number {
  process.stdout.write(`${text}\n`);
  return 0;
}

process.exitCode = await main();
