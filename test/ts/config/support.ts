import assert from 'node:assert/strict';
import { CairnError } from '../../../ts/common/errors.js';
import type { ConfigProblem } from '../../../ts/common/errors.js';
import { resolveConfig } from '../../../ts/config/resolve.js';
import type { ResolvedConfig, StoreConfig } from '../../../ts/config/types.js';

/** A machine of 16 GiB, so that defaults are the same everywhere. */
export const machine = { memoryBytes: 16 * 1024 ** 3 };

export function resolve(document: unknown): ResolvedConfig {
  return resolveConfig('/s', document as StoreConfig, { machine });
}

/** The problems of a document that is refused. */
export function problemsOf(act: () => unknown): readonly ConfigProblem[] {
  try {
    act();
  } catch (error) {
    assert.ok(error instanceof CairnError, String(error));
    assert.equal(error.code, 'CAIRN_INVALID_CONFIG', error.message);
    assert.ok(error.problems !== undefined && error.problems.length > 0);
    for (const problem of error.problems) assert.ok(error.message.includes(problem.path));
    return error.problems;
  }
  assert.fail('the document was accepted');
}
