import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import type { Command } from 'commander';
import type { Context } from './context.js';
import { readHostFacts, type DeviceFacts, type HostFacts } from './doctor-host.js';
import { probe, type ProbeFacts, type RateFacts } from './doctor-probe.js';
import { judge, type DoctorFacts, type Finding, type StoreFacts } from './doctor-verdict.js';
import { describeError, EXIT_FAILED, EXIT_OK, hasCode } from './errors.js';
import { formatBytes, formatCount, formatMicroseconds } from './format.js';
import type { Output } from './output.js';
import type { Runner } from './program.js';
import { renderGroups } from './table.js';

const MIB = 1024 * 1024;
const SPAN_BYTES_MAX = 256 * MIB;
const SPAN_BYTES_MIN = 8 * MIB;

export function addDoctor(program: Command, run: Runner): void {
  const command = program
    .command('doctor')
    .description(
      'look at kernel, io_uring, memory, file system and device; measure syncs and reads; say what limits a store',
    )
    .option('--dir <directory>', 'where a store is or shall be', '.');
  command.action(() => run((context) => doctor(context, command.opts<{ dir: string }>().dir)));
}

async function doctor(context: Context, wanted: string): Promise<number> {
  const { output, signal } = context;
  const directory = nearestDirectory(wanted);
  const host = readHostFacts(directory);
  output.note(`measuring in ${directory}, some seconds ...`);
  const facts = { host, ...(await measure(context, directory, host)) };
  signal.throwIfAborted();
  const verdict = judge(facts);
  if (output.json) await output.jsonLine({ directory, ...facts, ...verdict });
  else await output.line(render(output, directory, facts, verdict.findings, verdict.limits));
  return verdict.findings.some(({ level }) => level === 'error') ? EXIT_FAILED : EXIT_OK;
}

/** A store that is yet to be made is judged by the directory it will be in; nothing is put into a store. */
function nearestDirectory(wanted: string): string {
  let directory = resolve(wanted);
  while (!existsSync(directory) && dirname(directory) !== directory) directory = dirname(directory);
  return existsSync(join(directory, 'MANIFEST')) ? dirname(directory) : directory;
}

async function measure(
  context: Context,
  directory: string,
  host: HostFacts,
): Promise<{ readonly store: StoreFacts; readonly probe: ProbeFacts | null }> {
  let place: string;
  try {
    place = await mkdtemp(join(directory, '.cairn-doctor-'));
  } catch (error) {
    if (!['EACCES', 'EPERM', 'EROFS', 'ENOSPC'].some((code) => hasCode(error, code))) throw error;
    const { code, message } = describeError(error);
    return { store: { opened: false, code, message }, probe: null };
  }
  try {
    const store = await tryStore(context, join(place, 'store'));
    // Never more than a tenth of what is free.
    const span = Math.max(
      SPAN_BYTES_MIN,
      Math.min(SPAN_BYTES_MAX, Math.floor(host.fileSystem.freeBytes / 10 / MIB) * MIB),
    );
    return { store, probe: await probe(place, span, context.signal) };
  } finally {
    await rm(place, { recursive: true, force: true });
  }
}

/** What the store can use is asked of a store: a probe of our own would be another program's answer. */
async function tryStore(context: Context, path: string): Promise<StoreFacts> {
  try {
    const store = await context.host.open(path, {});
    const { backend, direct, degraded } = store.stats().io;
    await store.close();
    return { opened: true, backend, direct, degraded };
  } catch (error) {
    const { code, message } = describeError(error);
    return { opened: false, code, message };
  }
}

function render(
  output: Output,
  directory: string,
  { host, store, probe: measured }: DoctorFacts,
  findings: readonly Finding[],
  limits: readonly string[],
): string {
  const { fileSystem, device } = host;
  const groups = renderGroups(output, [
    {
      title: 'host',
      rows: [
        ['kernel', `${host.kernel} ${host.architecture}`],
        ['node', `${host.node}, ${host.libc}`],
        ['CPUs', formatCount(host.cpus)],
        ['memory', formatBytes(host.memoryBytes)],
        [
          'cgroup memory limit',
          host.cgroupMemoryBytes === null ? 'none' : formatBytes(host.cgroupMemoryBytes),
        ],
        [
          'memlock limit',
          host.memlockBytes === null ? 'unlimited' : formatBytes(host.memlockBytes),
        ],
        [
          'io_uring_disabled',
          host.ioUringDisabled === null ? 'not set' : String(host.ioUringDisabled),
        ],
        ['io_uring', describeIoUring(store)],
      ],
    },
    {
      title: 'storage',
      rows: [
        ['directory', directory],
        [
          'file system',
          `${fileSystem.type} on ${fileSystem.mountPoint} (${fileSystem.options.join(',')})`,
        ],
        ['free', formatBytes(fileSystem.freeBytes)],
        [
          'device',
          device === null
            ? `unknown (${fileSystem.source})`
            : [device.name, device.model].filter(Boolean).join(', '),
        ],
        ...(device === null
          ? []
          : [
              ['write cache', describeCache(device)] as const,
              [
                'scheduler',
                `${device.scheduler ?? 'unknown'}, hardware queues: ${device.queues ?? '?'}`,
              ] as const,
            ]),
      ],
    },
    { title: 'measured', rows: measured === null ? [] : describeProbe(measured) },
  ]);
  const remarks = findings.map(
    ({ level, code, message, fix }) =>
      `${level === 'error' ? output.red('error') : output.yellow('warning')} ${code}: ${message}\n  what to do: ${fix}`,
  );
  return [
    groups,
    [
      output.bold('findings'),
      ...(remarks.length === 0 ? [`  ${output.green('none')}`] : remarks),
    ].join('\n'),
    ...(limits.length === 0
      ? []
      : [
          [output.bold('what limits a store here'), ...limits.map((limit) => `  - ${limit}`)].join(
            '\n',
          ),
        ]),
  ].join('\n\n');
}

/** What an acknowledgement as `sync` rests on. */
export function describeCache({
  writeCache,
  fua,
}: Pick<DeviceFacts, 'writeCache' | 'fua'>): string {
  switch (writeCache) {
    case null:
      return 'unknown';
    case 'write through':
      return 'write through: not volatile, a write is durable when the device has it';
    case 'write back':
      return (
        'write back: volatile, lost in a power cut but for what a sync flushes; FUA: ' +
        (fua === null ? 'unknown' : fua ? 'yes' : 'no, a durable write is a write and a flush')
      );
    default:
      return writeCache;
  }
}

function describeIoUring(store: StoreFacts): string {
  if (!store.opened) return `unknown (${store.code})`;
  return store.backend === 'IOURING' ? 'usable' : `not usable (the store uses ${store.backend})`;
}

function describeProbe({
  direct,
  sync,
  readDepth1,
  readDepth32,
  readSpanBytes,
}: ProbeFacts): (readonly [string, string])[] {
  return [
    ['O_DIRECT', direct ? 'yes' : 'no'],
    ['4 KiB write + fdatasync', rate(sync)],
    [`4 KiB random read, depth 1`, rate(readDepth1)],
    [
      `4 KiB random read, depth 32`,
      `${rate(readDepth32)}; pread by 32 threads over ${formatBytes(readSpanBytes)}`,
    ],
  ];
}

function rate({ perSecond, p50, p99 }: RateFacts): string {
  return `${formatCount(perSecond)}/s (p50 ${formatMicroseconds(p50)}, p99 ${formatMicroseconds(p99)})`;
}
