import assert from 'node:assert/strict';
import { mkdtemp, mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  cgroupMemoryLimit,
  mountOf,
  parseLimit,
  parseMounts,
} from '../../../ts/cli/doctor-host.js';
import { describeCache } from '../../../ts/cli/doctor.js';
import { judge, type DoctorFacts } from '../../../ts/cli/doctor-verdict.js';
import { fail, MemoryStores, runWith } from '../../support/cli-memory-store.js';

const MOUNTINFO = `22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard
28 27 0:30 / /mnt/with\\040space rw,noatime master:1 propagate_from:2 - btrfs /dev/sdb1 rw,space_cache
29 27 0:31 / /data rw - tmpfs tmpfs rw,size=4k
30 29 8:1 / /data rw,nobarrier - xfs /dev/sda1 rw`;

describe('command line: doctor', () => {
  it('finds the mount of a path, the last of several on the same point', () => {
    const mounts = parseMounts(MOUNTINFO);
    assert.equal(mountOf('/data/store', mounts)?.type, 'xfs');
    assert.equal(mountOf('/database', mounts)?.type, 'ext4');
    assert.equal(mountOf('/mnt/with space', mounts)?.source, '/dev/sdb1');
    assert.deepEqual(mountOf('/', mounts)?.options, ['rw', 'relatime', 'discard']);
  });

  it('reads limits, unlimited ones as none', () => {
    const text =
      'Limit                     Soft Limit           Hard Limit           Units\n' +
      'Max locked memory         8388608              unlimited            bytes\n' +
      'Max file size             unlimited            unlimited            bytes\n';
    assert.equal(parseLimit(text, 'Max locked memory'), 8_388_608);
    assert.equal(parseLimit(text, 'Max file size'), null);
    assert.equal(parseLimit('', 'Max locked memory'), null);
  });

  it('takes the tightest memory limit from the group up to the root, in both versions of cgroups', async () => {
    const root = await mkdtemp(join(tmpdir(), 'cairn-cli-'));
    await mkdir(join(root, 'a', 'b'), { recursive: true });
    const mount = (type: string, options: string): string =>
      `1 1 0:1 / ${root} rw - ${type} none rw,${options}`;
    await writeFile(join(root, 'a', 'memory.max'), '1000\n');
    await writeFile(join(root, 'a', 'b', 'memory.max'), 'max\n');
    assert.equal(cgroupMemoryLimit(parseMounts(mount('cgroup2', 'x')), '0::/a/b'), 1000);
    await writeFile(join(root, 'memory.limit_in_bytes'), '9223372036854771712\n');
    assert.equal(cgroupMemoryLimit(parseMounts(mount('cgroup', 'memory')), '4:memory:/gone'), null);
    await writeFile(join(root, 'memory.limit_in_bytes'), '2000\n');
    assert.equal(cgroupMemoryLimit(parseMounts(mount('cgroup', 'memory')), '4:memory:/gone'), 2000);
    await rm(root, { recursive: true });
  });

  const rate = (perSecond: number) => ({ perSecond, p50: 90, p99: 150 });
  const facts: DoctorFacts = {
    host: {
      kernel: '6.18.0',
      architecture: 'x64',
      node: 'v20.0.0',
      libc: 'glibc 2.36',
      cpus: 2,
      memoryBytes: 2 ** 34,
      cgroupMemoryBytes: null,
      memlockBytes: null,
      ioUringDisabled: 0,
      fileSystem: {
        type: 'ext4',
        mountPoint: '/',
        source: '/dev/vda',
        options: ['rw'],
        freeBytes: 2 ** 35,
      },
      device: {
        name: 'nvme0n1',
        model: null,
        writeCache: 'write back',
        fua: false,
        rotational: false,
        scheduler: 'none',
        queues: 2,
      },
    },
    store: { opened: true, backend: 'IOURING', direct: true, degraded: [] },
    probe: {
      direct: true,
      sync: rate(10_000),
      readDepth1: rate(17_000),
      readDepth32: rate(80_000),
      readSpanBytes: 2 ** 28,
    },
  };
  const codes = (changed: DoctorFacts): string[] => judge(changed).findings.map(({ code }) => code);
  const on = (fileSystem: Partial<DoctorFacts['host']['fileSystem']>): DoctorFacts => ({
    ...facts,
    host: { ...facts.host, fileSystem: { ...facts.host.fileSystem, ...fileSystem } },
  });

  it('has nothing to say about a plain host, and says what bounds the store', () => {
    const { findings, limits } = judge(facts);
    assert.deepEqual(findings, []);
    assert.match(
      limits.join('\n'),
      /one at a time: the sync, 10,000\/s[^]*80,000\/s with 32 in flight[^]*429 million keys/,
    );
  });

  it('warns about file systems that do not keep, do not sync, or belong to somebody else', () => {
    assert.deepEqual(codes(on({ type: 'tmpfs' })), ['FS_MEMORY']);
    assert.deepEqual(codes(on({ type: 'overlay' })), ['FS_OVERLAY']);
    assert.deepEqual(codes(on({ type: 'nfs4' })), ['FS_NETWORK']);
    assert.deepEqual(codes(on({ type: 'fuse.any' })), ['FS_NETWORK']);
    assert.deepEqual(codes(on({ type: 'btrfs' })), ['FS_COPY_ON_WRITE']);
    assert.deepEqual(codes(on({ type: 'vfat' })), ['FS_UNTESTED']);
    assert.deepEqual(codes(on({ options: ['rw', 'nobarrier'] })), ['NO_BARRIER']);
    assert.deepEqual(codes(on({ freeBytes: 1000 })), ['LOW_SPACE']);
  });

  it('says what a sync rests on: the write cache, and how a write is made durable', () => {
    assert.match(
      describeCache({ writeCache: 'write back', fua: false }),
      /volatile.*FUA: no, a durable write is a write and a flush/,
    );
    assert.match(describeCache({ writeCache: 'write back', fua: true }), /volatile.*FUA: yes/);
    assert.match(describeCache({ writeCache: 'write through', fua: null }), /not volatile/);
    assert.equal(describeCache({ writeCache: null, fua: null }), 'unknown');
  });

  it('does not believe 50,000 syncs a second', () => {
    assert.ok(facts.probe !== null);
    assert.deepEqual(codes({ ...facts, probe: { ...facts.probe, sync: rate(60_000) } }), [
      'SYNC_IMPLAUSIBLE',
    ]);
    assert.deepEqual(codes({ ...facts, probe: { ...facts.probe, direct: false } }), ['NO_DIRECT']);
  });

  it('tells a setting of the kernel from a refusal by the container', () => {
    const posix: DoctorFacts = {
      ...facts,
      store: { opened: true, backend: 'POSIX', direct: true, degraded: ['io_uring'] },
    };
    assert.deepEqual(codes(posix), ['DEGRADED', 'IO_URING_REFUSED']);
    assert.deepEqual(codes({ ...posix, host: { ...posix.host, ioUringDisabled: 2 } }), [
      'DEGRADED',
      'IO_URING_DISABLED',
    ]);
  });

  it('measures in the directory, within ten seconds, and leaves nothing behind', async function () {
    this.timeout(20_000);
    const folder = await mkdtemp(join(tmpdir(), 'cairn-cli-'));
    const started = performance.now();
    const result = await runWith(new MemoryStores(), [
      'doctor',
      '--dir',
      join(folder, 'not', 'yet'),
      '--json',
    ]);
    assert.ok(performance.now() - started < 10_000);
    assert.equal(result.code, 0, result.stderr);
    assert.deepEqual(await readdir(folder), []);
    await rm(folder, { recursive: true });
    const report = JSON.parse(result.stdout) as DoctorFacts & {
      directory: string;
      limits: string[];
    };
    assert.equal(report.directory, folder);
    assert.ok(
      report.probe !== null &&
        report.probe.sync.perSecond > 0 &&
        report.probe.readDepth32.perSecond > 0,
    );
    assert.ok(report.host.fileSystem.freeBytes > 0);
    assert.ok(report.limits.length > 0);
  });

  it('ends with 1 when no store can be opened there, and cleans up all the same', async function () {
    this.timeout(20_000);
    const folder = await mkdtemp(join(tmpdir(), 'cairn-cli-'));
    const stores = new MemoryStores();
    stores.open = () => Promise.reject(fail('CAIRN_ADDON_MISSING', 'no addon'));
    const result = await runWith(stores, ['doctor', '--dir', folder, '--quiet']);
    assert.equal(result.code, 1);
    assert.match(result.stdout, /error NO_STORE: .*CAIRN_ADDON_MISSING/);
    assert.deepEqual(await readdir(folder), []);
    await rm(folder, { recursive: true });
  });
});
