import type { HostFacts } from './doctor-host.js';
import type { ProbeFacts } from './doctor-probe.js';
import { formatBytes, formatCount, formatMicroseconds } from './format.js';

/** What a store opened in the directory said about its I/O, or why it did not open. */
export type StoreFacts =
  | {
      readonly opened: true;
      readonly backend: string;
      readonly direct: boolean;
      readonly degraded: readonly string[];
    }
  | { readonly opened: false; readonly code: string; readonly message: string };

export interface DoctorFacts {
  readonly host: HostFacts;
  readonly store: StoreFacts;
  /** null: the directory cannot be written. */
  readonly probe: ProbeFacts | null;
}

export interface Finding {
  /** error: no store can be had here. warning: it works, but not as promised or not as fast. */
  readonly level: 'error' | 'warning';
  readonly code: string;
  readonly message: string;
  readonly fix: string;
}

export interface Verdict {
  readonly findings: readonly Finding[];
  /** What bounds each use of the store, in words. */
  readonly limits: readonly string[];
}

const NETWORK_TYPES = new Set([
  'nfs',
  'nfs4',
  'cifs',
  'smb3',
  '9p',
  'ceph',
  'glusterfs',
  'lustre',
  'afs',
  'virtiofs',
  'fuse.sshfs',
  'fuse.glusterfs',
]);
const TESTED_TYPES = new Set(['ext4', 'xfs']);
/** A flash drive with a volatile cache flushes in 20 us to 2 ms; nothing real is done 50,000 times a second. */
const PLAUSIBLE_SYNCS_PER_SECOND = 50_000;
const SMALL_MEMORY_BYTES = 256 * 1024 * 1024;
const LOW_SPACE_BYTES = 1024 * 1024 * 1024;
/** The index's upper bound. */
const BYTES_PER_KEY = 20;

export function judge(facts: DoctorFacts): Verdict {
  return {
    findings: [
      ...judgeStore(facts),
      ...judgeFileSystem(facts.host),
      ...judgeProbe(facts),
      ...judgeMemory(facts.host),
    ],
    limits: facts.probe === null ? [] : describeLimits(facts, facts.probe),
  };
}

function judgeStore({ store, host }: DoctorFacts): Finding[] {
  if (!store.opened) {
    const fix =
      store.code === 'CAIRN_ADDON_MISSING'
        ? 'npm rebuild cairn-kv (needs a C++20 compiler and CMake)'
        : 'see the message';
    return [
      error('NO_STORE', `a store could not be opened here: ${store.code}: ${store.message}`, fix),
    ];
  }
  const findings = store.degraded.map((what) =>
    warning('DEGRADED', `the store does without: ${what}`, 'see docs/CLI.md, doctor'),
  );
  if (store.backend !== 'IOURING') findings.push(noIoUring(host));
  return findings;
}

function noIoUring({ ioUringDisabled, kernel }: HostFacts): Finding {
  const effect =
    'io_uring is not available: threads are used instead, at more CPU per operation and fewer reads in flight';
  if (ioUringDisabled !== null && ioUringDisabled > 0) {
    return warning(
      'IO_URING_DISABLED',
      `${effect} (kernel.io_uring_disabled = ${ioUringDisabled})`,
      'sysctl kernel.io_uring_disabled=0',
    );
  }
  return warning(
    'IO_URING_REFUSED',
    `${effect} (kernel ${kernel}; often the container's seccomp profile)`,
    'allow io_uring_setup, io_uring_enter and io_uring_register in the seccomp profile; Linux 6.1 or later is best',
  );
}

function judgeFileSystem({ fileSystem, device }: HostFacts): Finding[] {
  const { type, options, mountPoint, freeBytes } = fileSystem;
  const findings: Finding[] = [];
  if (type === 'tmpfs' || type === 'ramfs') {
    findings.push(
      warning(
        'FS_MEMORY',
        `${mountPoint} is ${type}: nothing survives a restart, a sync does nothing`,
        'choose a directory on a disk',
      ),
    );
  } else if (type === 'overlay') {
    findings.push(
      warning(
        'FS_OVERLAY',
        `${mountPoint} is a container's overlay: the data goes when the container does`,
        'mount a volume and put the store there',
      ),
    );
  } else if (NETWORK_TYPES.has(type) || type.startsWith('fuse')) {
    findings.push(
      warning(
        'FS_NETWORK',
        `${mountPoint} is ${type}: what a sync and a lock mean is up to another machine or process`,
        'choose a local file system (ext4, xfs)',
      ),
    );
  } else if (type === 'btrfs' || type === 'zfs' || type === 'bcachefs') {
    findings.push(
      warning(
        'FS_COPY_ON_WRITE',
        `${mountPoint} is ${type}: every write goes to a new place, so syncs cost more and space is used twice for a time`,
        'choose ext4 or xfs; on btrfs, chattr +C on the empty directory',
      ),
    );
  } else if (!TESTED_TYPES.has(type)) {
    findings.push(
      warning(
        'FS_UNTESTED',
        `${mountPoint} is ${type}: not among the tested ones`,
        'choose ext4 or xfs',
      ),
    );
  }
  if (options.some((option) => option === 'nobarrier' || option === 'barrier=0')) {
    findings.push(
      warning(
        'NO_BARRIER',
        `${mountPoint} is mounted without barriers: a sync does not reach the medium`,
        'mount without nobarrier',
      ),
    );
  }
  if (freeBytes < LOW_SPACE_BYTES) {
    findings.push(
      warning('LOW_SPACE', `${formatBytes(freeBytes)} free on ${mountPoint}`, 'free some space'),
    );
  }
  if (
    device?.rotational === true &&
    !device.name.startsWith('vd') &&
    !device.name.startsWith('loop')
  ) {
    findings.push(
      warning('ROTATIONAL', `${device.name} is a rotating disk`, 'choose an NVMe device'),
    );
  }
  return findings;
}

function judgeProbe({ probe, host }: DoctorFacts): Finding[] {
  if (probe === null) {
    return [
      error(
        'NOT_WRITABLE',
        `${host.fileSystem.mountPoint} cannot be written`,
        'check permissions and mount options',
      ),
    ];
  }
  const findings: Finding[] = [];
  if (!probe.direct) {
    findings.push(
      warning(
        'NO_DIRECT',
        'O_DIRECT is refused: reads and writes go through the page cache',
        'choose ext4 or xfs',
      ),
    );
  }
  if (probe.sync.perSecond > PLAUSIBLE_SYNCS_PER_SECOND) {
    findings.push(
      warning(
        'SYNC_IMPLAUSIBLE',
        `${formatCount(probe.sync.perSecond)} syncs a second: no device does that, so they do not reach one (virtual disk with an unsafe cache, or a memory file system)`,
        'set the disk cache of the host to writethrough or none; a power cut may lose acknowledged writes until then',
      ),
    );
  }
  return findings;
}

function judgeMemory(host: HostFacts): Finding[] {
  const memory = usableMemory(host);
  if (memory >= SMALL_MEMORY_BYTES) return [];
  return [
    warning(
      'LOW_MEMORY',
      `${formatBytes(memory)} of memory for everything`,
      'raise the memory limit of the container',
    ),
  ];
}

function usableMemory({ memoryBytes, cgroupMemoryBytes }: HostFacts): number {
  return Math.min(memoryBytes, cgroupMemoryBytes ?? memoryBytes);
}

function describeLimits({ host, store }: DoctorFacts, probe: ProbeFacts): string[] {
  const { sync, readDepth1, readDepth32 } = probe;
  const limits = [
    `durable puts, one at a time: the sync, ${formatCount(sync.perSecond)}/s (p50 ${formatMicroseconds(sync.p50)}); ` +
      'puts in flight together share one, so keep many in flight or batch',
    probe.direct
      ? `reads from the device: ${formatCount(readDepth1.perSecond)}/s one at a time, ${formatCount(readDepth32.perSecond)}/s with 32 in flight`
      : `reads: not measurable without O_DIRECT (${formatCount(readDepth32.perSecond)}/s came from the page cache)`,
    `keys: the index stays in memory at up to ${BYTES_PER_KEY} B each, so half of ${formatBytes(usableMemory(host))} holds ` +
      `${formatCount(Math.floor(usableMemory(host) / 2 / BYTES_PER_KEY / 1e6))} million keys`,
    `space: ${formatBytes(host.fileSystem.freeBytes)} free on ${host.fileSystem.mountPoint}`,
  ];
  if (store.opened && store.backend !== 'IOURING') {
    limits.push(`reads in flight: the ${store.backend} backend's threads, not the device`);
  }
  return limits;
}

function warning(code: string, message: string, fix: string): Finding {
  return { level: 'warning', code, message, fix };
}
function error(code: string, message: string, fix: string): Finding {
  return { level: 'error', code, message, fix };
}
