import assert from 'node:assert/strict';
import { limitsOf, planReplay, type SegmentFacts } from '../../../ts/log/plan.js';

/** A segment with records previous + 1 to last, each a batch, all durable but the last. */
function segment(id: number, previous: number, last: number, more: Partial<SegmentFacts> = {}) {
  return {
    name: `log-${id}`,
    segmentId: id,
    previousSequence: previous,
    limitSequence: Number.MAX_SAFE_INTEGER,
    lastSequence: last,
    completeSequence: last === previous ? 0 : last,
    durableSequence: previous,
    highestSegmentId: id,
    highestSequence: last,
    endOffset: 8192,
    torn: false,
    ...more,
  };
}

function limited(segments: SegmentFacts[]): SegmentFacts[] {
  const limits = limitsOf(segments.map((facts) => facts.previousSequence));
  return segments.map((facts, index) => {
    const limitSequence = limits[index] as number;
    const lastSequence = Math.max(
      facts.previousSequence,
      Math.min(facts.lastSequence, limitSequence),
    );
    return {
      ...facts,
      limitSequence,
      lastSequence,
      completeSequence: Math.min(facts.completeSequence, limitSequence),
    };
  });
}

describe('the plan of a replay', () => {
  it('is empty for a log without segments', () => {
    const plan = planReplay([], [], 7, 7);
    assert.deepEqual(plan.order, []);
    assert.equal(plan.lastSequence, 7);
    assert.equal(plan.tornTail, false);
    assert.equal(plan.damage, undefined);
  });

  it('reads segments that continue each other', () => {
    const plan = planReplay(limited([segment(1, 0, 10), segment(2, 10, 20)]), [], 0, 10);
    assert.deepEqual(plan.order, ['log-1', 'log-2']);
    assert.equal(plan.lastSequence, 20);
    assert.equal(plan.highestSegmentId, 2);
  });

  it('drops what follows a torn segment when nobody was promised it', () => {
    const facts = limited([
      segment(1, 0, 8, { torn: true }),
      segment(2, 10, 20, { durableSequence: 5 }),
    ]);
    const plan = planReplay(facts, [], 0, 0);
    assert.deepEqual(plan.order, ['log-1']);
    assert.equal(plan.lastSequence, 8);
    assert.equal(plan.tornTail, true);
    assert.equal(plan.highestSequence, 20);
    assert.equal(plan.damage, undefined);
  });

  it('calls it damage when a later segment vouches for the lost records', () => {
    const facts = limited([segment(1, 0, 8, { torn: true }), segment(2, 10, 20)]);
    assert.deepEqual(planReplay(facts, [], 0, 0).damage, {
      name: 'log-1',
      offset: 8192,
      bound: 10,
    });
  });

  it('calls it damage when the manifest vouches for the lost records', () => {
    const plan = planReplay(limited([segment(1, 0, 8)]), [], 0, 9);
    assert.equal(plan.damage?.bound, 9);
    assert.equal(planReplay(limited([segment(1, 0, 8)]), [], 0, 8).damage, undefined);
  });

  it('calls it damage when a file without a header vouches for the lost records', () => {
    const lost = segment(0, 0, 0, {
      durableSequence: 12,
      highestSegmentId: 3,
      highestSequence: 13,
    });
    const plan = planReplay(limited([segment(1, 0, 8)]), [lost], 0, 0);
    assert.equal(plan.damage?.bound, 12);
    assert.equal(plan.highestSegmentId, 3);
    assert.equal(plan.highestSequence, 13);
  });

  it('skips what an earlier recovery cut', () => {
    // 4 was read to 120, 5 had begun at 130 and was dropped, 6 goes on from 120.
    const facts = limited([
      segment(4, 100, 130),
      segment(5, 130, 140, { durableSequence: 120 }),
      segment(6, 120, 200),
    ]);
    assert.deepEqual(
      facts.map((one) => one.limitSequence),
      [120, 120, Number.MAX_SAFE_INTEGER],
    );
    const plan = planReplay(facts, [], 100, 120);
    assert.deepEqual(plan.order, ['log-4', 'log-6']);
    assert.equal(plan.lastSequence, 200);
  });

  it('accepts a damaged segment whose records the checkpoint holds', () => {
    const facts = limited([segment(1, 0, 5, { torn: true }), segment(2, 10, 20)]);
    const plan = planReplay(facts, [], 10, 15);
    assert.equal(plan.lastSequence, 20);
    assert.equal(plan.damage, undefined);
  });

  it('ends before a batch that is not whole', () => {
    const facts = limited([segment(1, 0, 9, { completeSequence: 7 })]);
    const plan = planReplay(facts, [], 0, 7);
    assert.equal(plan.lastSequence, 7);
    assert.equal(plan.tornTail, true);
  });
});
