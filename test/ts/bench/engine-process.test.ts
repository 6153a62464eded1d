import assert from 'node:assert/strict';
import { EngineProcess } from '../../../bench/engine-process.js';

describe('the process of an engine', () => {
  it('rejects what it is asked when it has ended, and what it was asked before', async () => {
    // Symptom: the benchmark ended with an unhandled error when a peer ran out of its memory.
    // Cause: a message to a process that has ended is an event nobody hears.
    const engine = new EngineProcess('cairn');
    const pending = engine.run({ stage: 'counters' });
    const rejected = assert.rejects(pending, /the process of cairn ended: SIGKILL/);
    await engine.crash();
    await rejected;
    await assert.rejects(engine.close(), /the process of cairn ended: SIGKILL/);
  });
});
