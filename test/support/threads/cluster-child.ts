// A process of the cluster of test/ts/robustness/calls.test.ts: says what opening gave.
import { CairnError, open } from '../../../ts/index.js';

async function answer(): Promise<string> {
  try {
    const store = await open(process.env['CAIRN_TEST_PATH'] as string, { lock_timeout_ms: 0 });
    const value = String(await store.get('key'));
    await store.close();
    return value;
  } catch (error) {
    return error instanceof CairnError ? error.code : String(error);
  }
}

const text = await answer();
process.send?.(text, () => process.disconnect());
