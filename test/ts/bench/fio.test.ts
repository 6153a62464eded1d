import assert from 'node:assert/strict';
import { fioArguments, fioCommand, parseFio } from '../../../bench/yardsticks/fio.js';
import { groupShape } from '../../../bench/yardsticks/bare-log.js';

/** What fio 3.33 prints, cut down to what is read. */
const READ_DOCUMENT = JSON.stringify({
  'fio version': 'fio-3.33',
  jobs: [
    {
      jobname: 'yardstick',
      error: 0,
      read: {
        bw_bytes: 344_000_000,
        iops: 83_984.375,
        total_ios: 168_000,
        clat_ns: {
          mean: 380_000,
          percentile: { '50.000000': 346_112, '99.000000': 1_089_536, '99.900000': 2_113_536 },
        },
      },
      write: { bw_bytes: 0, iops: 0 },
      sync: { total_ios: 0, lat_ns: {} },
    },
  ],
});

const SYNC_DOCUMENT = JSON.stringify({
  jobs: [
    {
      error: 0,
      write: {
        bw_bytes: 40_960_000,
        iops: 10_000,
        clat_ns: { percentile: { '50.000000': 3000, '99.000000': 9000, '99.900000': 20_000 } },
      },
      sync: {
        total_ios: 19_999,
        lat_ns: { percentile: { '50.000000': 80_000, '99.000000': 160_000, '99.900000': 900_000 } },
      },
    },
  ],
});

describe('bench fio yardstick', () => {
  it('reads rates and percentiles out of the document', () => {
    const result = parseFio(READ_DOCUMENT, 'read');
    assert.equal(result.iops, 83_984.375);
    assert.equal(result.bytesPerSecond, 344_000_000);
    assert.deepEqual(result.latency, { p50: 346.112, p99: 1089.536, p999: 2113.536 });
    assert.equal(result.syncLatency, null);
  });

  it('tells the write from its sync', () => {
    const result = parseFio(SYNC_DOCUMENT, 'write');
    assert.equal(result.latency.p50, 3);
    assert.deepEqual(result.syncLatency, { p50: 80, p99: 160, p999: 900 });
  });

  it('passes over warnings before the document', () => {
    assert.equal(parseFio(`fio: a remark\n${READ_DOCUMENT}`, 'read').iops, 83_984.375);
  });

  it('refuses a failed job and what is no document', () => {
    const failed = JSON.stringify({ jobs: [{ error: 28, write: { iops: 5 } }] });
    assert.throws(() => parseFio(failed, 'write'), /errno 28/);
    assert.throws(() => parseFio('fio: bad option', 'read'), /no JSON/);
    assert.throws(() => parseFio('{}', 'read'));
  });

  it('gives what is absent as no number', () => {
    const result = parseFio(JSON.stringify({ jobs: [{ error: 0 }] }), 'read');
    assert.ok(Number.isNaN(result.iops));
    assert.ok(Number.isNaN(result.latency.p99));
  });

  it('reads through io_uring past the page cache, with registered buffers and file', () => {
    const job = { kind: 'random-read', depth: 32, blockBytes: 4096 } as const;
    const args = fioArguments({ job, file: '/data/f', fileBytes: 1 << 20, milliseconds: 2000 });
    for (const wanted of [
      '--ioengine=io_uring',
      '--direct=1',
      '--fixedbufs=1',
      '--registerfiles=1',
      '--iodepth=32',
      '--rw=randread',
      '--bs=4096',
      '--runtime=2000ms',
      '--filename=/data/f',
    ]) {
      assert.ok(args.includes(wanted), wanted);
    }
  });

  it('prints commands without the place of the file', () => {
    const job = { kind: 'write-fdatasync', blockBytes: 4096 } as const;
    const command = fioCommand({ job, file: '/secret', fileBytes: 4096, milliseconds: 1 });
    assert.match(command, /^fio .*--fdatasync=1/);
    assert.doesNotMatch(command, /secret/);
  });
});

describe('bench bare log', () => {
  it('writes groups of whole pages with the records that cairn had in one', () => {
    assert.deepEqual(groupShape(1280, 10, 10 * 140_000), { bytes: 143_360, records: 128 });
    assert.deepEqual(groupShape(10, 10, 10 * 1200), { bytes: 4096, records: 1 });
  });

  it('has one record a page when nothing was counted', () => {
    assert.deepEqual(groupShape(0, 0, 0), { bytes: 4096, records: 1 });
  });
});
