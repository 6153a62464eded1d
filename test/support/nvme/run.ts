/**
 * `npm run test:nvme -- --fs xfs`: what a put is at an NVMe device, counted there; then the power
 * is cut after each command that the device got. Without --fs on ext4 and on xfs.
 */
import { fileURLToPath } from 'node:url';
import Table from 'cli-table3';
import { FILE_SYSTEMS, fileSystemsOf, type FileSystemKind } from '../loop/devices.js';
import { readOptions } from '../options.js';
import { visit, type DeviceCommand, type GuestLine } from './machine.js';
import { replay } from './replay.js';

const here = (name: string): string => fileURLToPath(new URL(name, import.meta.url));
const TIMEOUT_MS = 300_000;

interface Phase {
  readonly name: string;
  readonly puts: number;
  readonly groups: number;
  /** Of the WRITE, as the kernel of the guest says: the trace of the device does not have the bit. */
  readonly fua: number;
  readonly commands: readonly DeviceCommand[];
}

function phaseOf(name: string, lines: readonly GuestLine[], all: readonly DeviceCommand[]): Phase {
  const begin = lines.find(({ text }) => text.startsWith(`begin ${name} `));
  const end = lines.find(({ text }) => text.startsWith(`end ${name} `));
  if (begin === undefined || end === undefined)
    throw new Error(`the guest did not come to ${name}`);
  return {
    name,
    puts: Number(begin.text.split(' ')[2]),
    groups: Number(end.text.split(' ')[2]),
    fua: Number(end.text.split(' ')[3]),
    commands: all.filter(({ time }) => time > begin.time && time < end.time),
  };
}

const count = (phase: Phase, name: DeviceCommand['name']): number =>
  phase.commands.filter((command) => command.name === name).length;

/** The file system writes metadata of its own every few seconds, without a FLUSH. */
const METADATA_WRITES_MAX = 8;

/** What is promised of each kind; empty when it holds. */
function broken(phase: Phase): string {
  const { name, puts, groups, fua } = phase;
  const writes = count(phase, 'WRITE');
  const flushes = count(phase, 'FLUSH');
  if (writes < groups || writes > groups + METADATA_WRITES_MAX) {
    return `${writes} WRITE in ${groups} groups`;
  }
  if (name === 'process') {
    return flushes + fua === 0 ? '' : `${flushes} FLUSH and ${fua} FUA that nobody asked for`;
  }
  if (fua + flushes !== groups) return `${fua} FUA and ${flushes} FLUSH in ${groups} groups`;
  return groups <= (name === 'sync' ? puts : puts / 32) ? '' : `${groups} groups of ${puts} puts`;
}

async function campaign(fileSystem: FileSystemKind): Promise<{ passed: number; failed: number }> {
  const folder = here('../../../build/nvme');
  const visited = await visit({
    folder,
    fileSystem,
    init: here('init.sh'),
    guest: here('guest.mjs'),
    entry: here('../../../dist/esm/index.js'),
    timeoutMs: TIMEOUT_MS,
  });
  const { lines, commands } = visited;
  const table = new Table({
    head: [fileSystem, 'level', 'groups', 'WRITE', 'with FUA', 'FLUSH', ''],
    style: { head: [], border: [] },
  });
  let failed = 0;
  let passed = 0;
  for (const name of ['sync', 'process', 'together']) {
    const phase = phaseOf(name, lines, commands);
    const what = broken(phase);
    if (what === '') passed++;
    else failed++;
    const how = name === 'together' ? 'sync, all at once' : `${name}, one at a time`;
    const counts = [count(phase, 'WRITE'), phase.fua, count(phase, 'FLUSH')];
    table.push([`${phase.puts} puts`, how, phase.groups, ...counts, what]);
  }
  console.error(lines.find(({ text }) => text.includes('device: '))?.text ?? '');
  console.error(table.toString());
  if (process.getuid?.() !== 0) {
    console.error('only root may mount what the device had after each command: not looked at');
    return { passed, failed };
  }
  const { states, acknowledged, missing } = await replay({
    folder,
    fresh: visited.fresh,
    log: visited.log,
    onState: (done, all) => {
      if (done % 50 === 0) console.error(`${fileSystem}: ${done} of ${all} power cuts`);
    },
  });
  console.error(
    `${fileSystem}: power cut after each of ${states} commands, ${acknowledged} acknowledged puts, none lost`,
  );
  if (missing.length === 0 && acknowledged > 0) return { passed: passed + states, failed };
  console.error(`not all puts are there in the end: ${missing.join(' ')}`);
  return { passed: passed + states, failed: failed + 1 };
}

const USAGE = `Options:
  --fs NAME   one of ${FILE_SYSTEMS.join(', ')} (default: each)
`;

const values = readOptions(USAGE, { fs: { type: 'string' } });
const kinds = fileSystemsOf(values.fs);
let passed = 0;
let failed = 0;
try {
  for (const kind of kinds) {
    const result = await campaign(kind);
    passed += result.passed;
    failed += result.failed;
  }
} catch (error) {
  console.error(error);
  failed++;
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
