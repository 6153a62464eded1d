import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  ABSENT,
  describeViolation,
  findViolation,
  type Action,
  type Operation,
} from '../../support/linearizability/checker.js';

const put = (value: number): Action => ({ kind: 'put', value });
const get = (value: number): Action => ({ kind: 'get', value });
const has = (present: boolean): Action => ({ kind: 'has', present });
const gone = (found?: boolean): Action => ({ kind: 'delete', found });

/** An operation on key 1. */
function op(start: number, end: number, action: Action, more: Partial<Operation> = {}): Operation {
  return { key: 1, action, start, end, ...more };
}
/** One whose outcome nobody was told. */
function open(start: number, action: Action, end = Infinity): Operation {
  return op(start, end, action, { maybe: true });
}

type Example = readonly [string, readonly Operation[]];

const GOOD: readonly Example[] = [
  ['nothing at all', []],
  ['a read of a key that nobody wrote', [op(1, 2, get(ABSENT)), op(3, 4, has(false))]],
  ['one after the other', [op(1, 2, put(1)), op(3, 4, get(1)), op(5, 6, gone(true))]],
  ['a read that overlaps a put and sees it', [op(1, 9, put(1)), op(2, 3, get(1))]],
  ['a read that overlaps a put and does not see it', [op(1, 9, put(1)), op(2, 3, get(ABSENT))]],
  [
    'two puts that overlap, the one that ended first last',
    [op(1, 4, put(1)), op(2, 3, put(2)), op(5, 6, get(2))],
  ],
  [
    'two puts that overlap, the other way round',
    [op(1, 4, put(1)), op(2, 3, put(2)), op(5, 6, get(1))],
  ],
  [
    'two reads that tell the order of two puts',
    [op(1, 9, put(1)), op(2, 10, put(2)), op(3, 4, get(2)), op(5, 6, get(1)), op(11, 12, get(1))],
  ],
  [
    'deletes that overlap, one of which finds it',
    [op(1, 2, put(1)), op(3, 6, gone(true)), op(4, 5, gone(false)), op(7, 8, has(false))],
  ],
  [
    'a delete between two puts',
    [op(1, 9, put(1)), op(2, 8, gone(true)), op(3, 7, put(2)), op(10, 11, get(2))],
  ],
  ['a failed put that nobody ever sees', [op(1, 2, put(1)), open(3, put(2)), op(4, 5, get(1))]],
  [
    'a failed put that shows much later',
    [op(1, 2, put(1)), open(3, put(2)), op(4, 5, get(1)), op(60, 70, get(2))],
  ],
  ['a failed put that shows only while it lasted', [open(1, put(2), 9), op(5, 20, get(2))]],
  ['a failed delete that was done', [op(1, 2, put(1)), open(3, gone()), op(9, 10, has(false))]],
  ['a read without a result says nothing', [op(1, 2, put(1)), open(3, get(7))]],
  [
    'what a batch put, on two keys',
    [
      op(1, 6, put(1)),
      op(1, 6, put(2), { key: 2 }),
      op(3, 4, get(1)),
      op(4, 5, get(ABSENT), { key: 2 }),
    ],
  ],
  [
    'many puts that overlap, none of which is ever read but the last',
    [...Array.from({ length: 11 }, (_, at) => op(1 + at, 100 + at, put(at))), op(200, 201, get(7))],
  ],
  [
    'many puts without an outcome',
    [
      ...Array.from({ length: 11 }, (_, at) => open(1 + at, put(at))),
      op(50, 51, get(3)),
      op(52, 53, get(4)),
      op(54, 55, get(9)),
    ],
  ],
];

const BAD: readonly Example[] = [
  ['a value that nobody wrote', [op(1, 2, get(5))]],
  ['an acknowledged put that is lost', [op(1, 2, put(1)), op(3, 4, get(ABSENT))]],
  ['a stale read', [op(1, 2, put(1)), op(3, 4, put(2)), op(5, 6, get(1))]],
  ['a read of what is put only later', [op(1, 2, get(1)), op(3, 4, put(1))]],
  ['a deleted key that is back', [op(1, 2, put(1)), op(3, 4, gone(true)), op(5, 6, get(1))]],
  ['a value of another key', [op(1, 2, put(1), { key: 2 }), op(3, 4, get(1))]],
  [
    'two reads, the later one of the older value',
    [op(1, 2, put(1)), op(3, 10, put(2)), op(4, 5, get(2)), op(6, 7, get(1))],
  ],
  [
    'readers who disagree about the order of two puts',
    [
      op(1, 9, put(1)),
      op(2, 10, put(2)),
      op(3, 4, get(1)),
      op(5, 6, get(2)),
      op(7, 8, get(1)),
      op(11, 12, get(2)),
    ],
  ],
  [
    'two deletes that both found it',
    [op(1, 2, put(1)), op(3, 6, gone(true)), op(4, 5, gone(true))],
  ],
  ['a delete that found nothing where something was', [op(1, 2, put(1)), op(3, 4, gone(false))]],
  [
    'a key that is there and has no value',
    [op(1, 2, put(1)), op(3, 4, has(true)), op(5, 6, get(ABSENT))],
  ],
  [
    'a put of which a read had seen that it was done, undone',
    [op(1, 2, put(1)), op(3, 30, put(2)), op(4, 5, get(2)), op(40, 41, get(1))],
  ],
  [
    'a failed put that shows, and then does not',
    [op(1, 2, put(1)), open(3, put(2)), op(5, 6, get(2)), op(7, 8, get(1))],
  ],
  [
    'a failed put that shows after its outcome was fixed',
    [op(1, 2, put(1)), open(3, put(2), 5), op(6, 7, get(1)), op(8, 9, get(2))],
  ],
  ['a failed put seen before it was asked for', [op(1, 2, get(2)), open(3, put(2))]],
  [
    'one failed put that has to happen twice',
    [op(1, 2, put(1)), open(3, put(2)), op(4, 5, get(2)), op(6, 7, put(3)), op(8, 9, get(2))],
  ],
  [
    'half of a batch that is lost',
    [
      op(1, 2, put(1)),
      op(1, 2, put(2), { key: 2 }),
      op(3, 4, get(1)),
      op(3, 4, get(ABSENT), { key: 2 }),
    ],
  ],
  [
    'a lost update between many that overlap',
    [
      ...Array.from({ length: 12 }, (_, at) => op(1 + at, 50 + at, put(at))),
      op(70, 71, put(99)),
      op(72, 73, get(3)),
    ],
  ],
];

describe('the linearizability checker', () => {
  for (const [name, history] of GOOD) {
    it(`accepts ${name}`, () => {
      const violation = findViolation(history);
      assert.equal(violation && describeViolation(violation, history), undefined);
    });
  }
  for (const [name, history] of BAD) {
    it(`finds ${name}`, () => {
      const violation = findViolation(history);
      assert.ok(violation !== undefined);
      assert.match(describeViolation(violation, history), /no order explains key [12]: /);
    });
  }

  it('agrees with a search of all orders', () => {
    let [good, bad] = [0, 0];
    fc.assert(
      fc.property(fc.array(anyOperation(), { maxLength: 6 }), (history) => {
        const explained = hasOrder(history, ABSENT);
        if (explained) good++;
        else bad++;
        assert.equal(findViolation(history) === undefined, explained);
      }),
      { numRuns: 5000 },
    );
    // Neither answer alone would do.
    assert.ok(good > 500 && bad > 500, `${good} good, ${bad} bad`);
  });

  it('decides long histories of many clients', () => {
    const history: Operation[] = [];
    let value = 0;
    for (let tick = 0; tick < 200_000; tick += 2) {
      const key = (tick >> 1) % 20;
      const action = (tick >> 1) % 40 < 20 ? put(++value) : get(value - 19 + key);
      history.push(op(tick, tick + 1, action, { key }));
    }
    assert.equal(findViolation(history.slice(0, 20)), undefined);
    const began = performance.now();
    findViolation(history);
    assert.ok(performance.now() - began < 5000);
  });
});

function anyOperation(): fc.Arbitrary<Operation> {
  const value = fc.integer({ min: 0, max: 2 });
  const action = fc.oneof(
    value.map(put),
    fc.constantFrom(undefined, true, false).map(gone),
    fc.constantFrom(ABSENT, 0, 1, 2).map(get),
    fc.boolean().map(has),
  );
  return fc
    .record({
      start: fc.integer({ min: 0, max: 12 }),
      length: fc.integer({ min: 0, max: 8 }),
      action,
      outcome: fc.constantFrom('told', 'told', 'told', 'open', 'never'),
    })
    .map(({ start, length, action, outcome }) =>
      op(start, outcome === 'never' ? Infinity : start + length, action, {
        maybe: outcome !== 'told',
      }),
    );
}

/** Whether some order of all that was told, and any part of the rest, explains the results: tried one by one. */
function hasOrder(left: readonly Operation[], state: number): boolean {
  if (left.every(({ maybe }) => maybe === true)) return true;
  return left.some((one, at) => {
    // Whatever ended before this one began has to come first.
    const rest = left.filter((_, index) => index !== at);
    const overtaken = rest.filter(({ end }) => end < one.start);
    if (overtaken.some(({ maybe }) => maybe !== true)) return false;
    const next = after(state, one.action);
    return (
      next !== undefined &&
      hasOrder(
        rest.filter((other) => !overtaken.includes(other)),
        next,
      )
    );
  });
}

function after(state: number, action: Action): number | undefined {
  const present = state !== ABSENT;
  if (action.kind === 'put') return action.value;
  if (action.kind === 'delete') return (action.found ?? present) === present ? ABSENT : undefined;
  if (action.kind === 'get') return action.value === state ? state : undefined;
  return action.present === present ? state : undefined;
}
