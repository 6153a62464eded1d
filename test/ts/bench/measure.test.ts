import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  bracketedRatios,
  interleave,
  LatencyHistogram,
  median,
  medianLatency,
  pairedRatios,
  quantile,
  spread,
  valuesOf,
  type Contender,
} from '../../../bench/measure.js';

const contender = (name: string, order: string[], value: number): Contender => ({
  name,
  run: (round) => {
    order.push(`${name}${round}`);
    return Promise.resolve({ value: value + round });
  },
});

describe('bench statistics', () => {
  it('takes the middle of an odd and the mean of the two middles of an even number', () => {
    assert.equal(median([3, 1, 2]), 2);
    assert.equal(median([4, 1, 2, 3]), 2.5);
    assert.ok(Number.isNaN(median([])));
  });

  it('interpolates quantiles and leaves its argument as it was', () => {
    const values = [40, 10, 30, 20];
    assert.equal(quantile(values, 0), 10);
    assert.equal(quantile(values, 1), 40);
    assert.equal(quantile(values, 0.5), 25);
    assert.deepEqual(values, [40, 10, 30, 20]);
  });

  it('keeps the median between least and greatest', () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ noNaN: true, min: -1e9, max: 1e9 }), { minLength: 1 }),
        (all) => {
          const { median: middle, min, max } = spread(all);
          assert.ok(min <= middle && middle <= max);
        },
      ),
    );
  });

  it('compares each turn with the mean of the yardstick before and after it', () => {
    assert.deepEqual(bracketedRatios([90, 40], [100, 80, 20]), [1, 0.8]);
  });

  it('compares with the only neighbour when the last yardstick is missing', () => {
    assert.deepEqual(bracketedRatios([50], [100]), [0.5]);
  });

  it('compares turn by turn with another contender', () => {
    assert.deepEqual(pairedRatios([10, 30], [5, 10]), [2, 3]);
  });

  it('runs the yardstick around every turn and drops none', async () => {
    const order: string[] = [];
    const result = await interleave({
      yardstick: contender('y', order, 100),
      contenders: [contender('a', order, 10), contender('b', order, 20)],
      rounds: 2,
      warmups: 1,
    });
    assert.deepEqual(order, ['a-1', 'b-1', 'y0', 'a0', 'b0', 'y1', 'a1', 'b1', 'y2']);
    assert.deepEqual(valuesOf(result, 'y'), [100, 101, 102]);
    assert.deepEqual(valuesOf(result, 'a'), [10, 11]);
    assert.deepEqual(valuesOf(result, 'nobody'), []);
  });

  it('takes latencies element by element and passes over turns without any', () => {
    const latency = (p50: number) => ({ p50, p99: p50 * 2, p999: p50 * 3 });
    const samples = [5, 1, 3].map((p50) => ({ value: 1, latency: latency(p50) }));
    assert.deepEqual(medianLatency([...samples, { value: 1 }]), { p50: 3, p99: 6, p999: 9 });
    assert.equal(medianLatency([{ value: 1 }]), undefined);
  });
});

describe('bench latency histogram', () => {
  it('is at most 4 % off at any quantile', () => {
    const histogram = new LatencyHistogram();
    for (let microseconds = 1; microseconds <= 10_000; microseconds += 1) {
      histogram.add(microseconds / 1000);
    }
    const { p50, p99, p999 } = histogram.summary();
    for (const [found, expected] of [
      [p50, 5000],
      [p99, 9900],
      [p999, 9990],
    ] as const) {
      assert.ok(Math.abs(found - expected) / expected < 0.04, `${found} for ${expected}`);
    }
  });

  it('takes zero and minutes without losing them', () => {
    const histogram = new LatencyHistogram();
    histogram.add(0);
    histogram.add(1e9);
    assert.ok(histogram.quantile(0) < 0.01);
    assert.ok(histogram.quantile(1) > 1e8);
  });

  it('has no quantile of nothing', () => {
    assert.ok(Number.isNaN(new LatencyHistogram().quantile(0.5)));
  });
});
