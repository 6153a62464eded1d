import fc from 'fast-check';
import { join } from 'node:path';
import type { StoreConfig } from '../../../ts/index.js';
import { codecOf } from '../../support/linearizability/values.js';
import { combinations, nameOf, type Combination } from '../../support/matrix/combination.js';
import { anyCommands, expectContents, openReal, type Real } from '../../support/model/commands.js';
import { Model } from '../../support/model/contents.js';
import { directoryHost, simulatedHost, type Host } from '../../support/model/hosts.js';
import { withDirectory } from '../../support/stores.js';

const LONG = process.env['CAIRN_TEST_LONG'] === '1';
const COMMANDS_MAX = LONG ? 150 : 60;
const TIER_BYTES = 3 * 1024 * 1024;

/** Fault model F1 and F2: what a kill and a power cut leave, in the midst of everything else. */
describe('a store, whatever its types, agrees with a Map', function () {
  this.timeout(LONG ? 3_600_000 : 120_000);

  for (const [at, combination] of combinations().entries()) {
    const keyType = at % 2 === 0 ? 'bytes' : 'u64';
    const name = `${nameOf(combination)} with ${keyType} keys`;
    it(`killed, cut off and reopened: ${name}`, () =>
      agrees(at + 1, combination, keyType, LONG ? 40 : 3, async (use) => use(simulatedHost())));
    // Both kinds of keys of each combination, over the two hosts.
    if (LONG || at % 3 === 0)
      it(`reopened on the other backend: ${name}`, () =>
        agrees(at + 1, combination, keyType === 'u64' ? 'bytes' : 'u64', LONG ? 20 : 1, (use) =>
          withDirectory((directory) => use(directoryHost(join(directory, 'store')))),
        ));
  }

  // Symptom: a put that had waited for room in the log was never acknowledged as durable.
  // Cause: it waited for the last sequence of all, of a record that compaction had moved meanwhile.
  // Fix: it asks for the sync that it waits for.
  it('acknowledges a put that waited while records were moved', () => {
    const types = { index: 'DRAM_PET_HASH', value: 'SSD_VALUE_STORE', dram: undefined };
    const host = async (use: (host: Host) => Promise<void>): Promise<void> => use(simulatedHost());
    return agrees(1014, { ...types, ssd: 'SSD_BUDDY' }, 'u64', 10, host, 150);
  });
});

function agrees(
  seed: number,
  combination: Combination,
  keyType: 'bytes' | 'u64',
  numRuns: number,
  withHost: (use: (host: Host) => Promise<void>) => Promise<void>,
  commandsMax = COMMANDS_MAX,
): Promise<void> {
  const property = fc.asyncProperty(anyCommands(commandsMax), (commands) =>
    withHost(async (host) => {
      const real: Real = {
        ...{ host, keyType, codec: codecOf(keyType, undefined), level: 'sync' as const },
        fixed: fixedConfig(combination, keyType),
        // Set by openReal.
        store: undefined as never,
      };
      const model = new Model();
      await openReal(real, {});
      try {
        await fc.asyncModelRun(() => ({ model, real }), commands);
        await expectContents(model, real);
      } finally {
        await real.store.close();
        await host.dispose();
      }
    }),
  );
  // The same sequences in every ordinary run, others in each long one.
  return fc.assert(property, LONG ? { numRuns } : { numRuns, seed });
}

function fixedConfig(
  { index, value, dram, ssd }: Combination,
  keyType: 'bytes' | 'u64',
): StoreConfig {
  const tier = value === 'TIERED_VALUE_STORE' ? { capacity_bytes: TIER_BYTES } : {};
  return {
    key: { type: keyType },
    index: { type: index },
    value: {
      type: value,
      ...(dram === undefined ? {} : { dram_allocator: { type: dram, ...tier } }),
      ...(ssd === undefined ? {} : { ssd_allocator: { type: ssd } }),
    },
    log: { segment_bytes: 256 * 1024, capacity_bytes: 2 * 1024 * 1024 },
    lock_timeout_ms: 10_000,
  };
}
