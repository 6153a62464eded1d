// One process of a campaign, started by supervisor.ts: its options and the file that says where it is.
import { openSync, writeSync } from 'node:fs';
import { runCampaign } from './campaign.js';
import type { CampaignOptions, Tally } from './campaign.js';
import { formatState } from './enumerator.js';
import { POSITION_BYTES } from './messages.js';
import type { Message, WorkerOptions } from './messages.js';

const REPORT_EVERY_MS = 1000;

function say(message: Message): void {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}

async function work(options: CampaignOptions, positionFile: string): Promise<void> {
  let said = 0;
  let reported = 0;
  const position = openSync(positionFile, 'w');
  const tell = (tally: Tally): void => {
    for (; said < tally.violations.length; said++) {
      const violation = tally.violations[said];
      if (violation !== undefined) say({ type: 'violation', violation });
    }
    const { states, opened, workloads, place } = tally;
    say({ type: 'states', states, opened, workloads, place });
  };
  const tally = await runCampaign(options, {
    begin: (workload, state) => {
      // A few microseconds, and whatever hangs or crashes this process can be replayed.
      const token = `${workload.name}@${state === undefined ? 'run' : formatState(state)}`;
      writeSync(position, token.padEnd(POSITION_BYTES), 0);
    },
    states: (current) => {
      const now = performance.now();
      if (now - reported < REPORT_EVERY_MS && current.violations.length === said) return;
      reported = now;
      tell(current);
    },
  });
  tell(tally);
  say({ type: 'end' });
}

const [given = '', positionFile = ''] = process.argv.slice(2);
const { perPoint, ...options } = JSON.parse(given) as WorkerOptions;
void work({ ...options, perPoint: perPoint ?? Number.POSITIVE_INFINITY }, positionFile);
