import assert from 'node:assert/strict';
import { inspect } from 'node:util';
import { assertNever, assert as cairnAssert } from '../../../ts/common/assert.js';
import { CairnError, isCairnError } from '../../../ts/common/errors.js';

describe('CairnError', () => {
  it('carries code, operation, file, offset and cause', () => {
    const cause = new Error('EIO');
    const error = new CairnError('CAIRN_IO', 'read: EIO', {
      operation: 'read',
      file: 'values',
      offset: 4096,
      cause,
    });
    assert.ok(error instanceof Error);
    assert.equal(error.name, 'CairnError');
    assert.equal(error.code, 'CAIRN_IO');
    assert.equal(error.message, 'read: EIO');
    assert.equal(error.operation, 'read');
    assert.equal(error.file, 'values');
    assert.equal(error.offset, 4096);
    assert.equal(error.cause, cause);
  });

  it('keeps offset 0', () => {
    assert.equal(new CairnError('CAIRN_IO', 'x', { offset: 0 }).offset, 0);
  });

  it('has no properties for details that are not known', () => {
    const error = new CairnError('CAIRN_CLOSED', 'closed', { operation: undefined });
    assert.deepEqual(Object.keys(error).sort(), ['code', 'name']);
    assert.equal('cause' in error, false);
    assert.ok(!inspect(error).includes('operation'));
  });

  it('is told from other errors and by its code', () => {
    const error: unknown = new CairnError('CAIRN_LOCKED', 'locked');
    assert.equal(isCairnError(error), true);
    assert.equal(isCairnError(error, 'CAIRN_LOCKED'), true);
    assert.equal(isCairnError(error, 'CAIRN_IO'), false);
    assert.equal(isCairnError(new Error('no')), false);
    assert.equal(isCairnError(undefined), false);
  });
});

describe('assertions', () => {
  it('throw a plain error that says what was expected', () => {
    cairnAssert(true, 'never thrown');
    assert.throws(() => cairnAssert(false, 'one is two'), /assertion failed: one is two/);
    assert.throws(() => assertNever('odd' as never), /assertion failed: unexpected odd/);
  });
});
