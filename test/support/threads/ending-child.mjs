// Ends workers in the middle of a native call, at each of the call's steps (ending-worker.mjs).
// Arguments: what is made, a path that is free. Says how many steps it has. Plain JavaScript, like them.
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';

const WORKER = new URL('ending-worker.mjs', import.meta.url);
const BUILT = fileURLToPath(new URL('../../../build/Release/cairn.node', import.meta.url));

const [what, directory] = process.argv.slice(2);
const addonFile = process.env.CAIRN_ADDON_PATH ?? BUILT;

async function endsAt(steps) {
  const place = `${directory}-${steps}`;
  const worker = new Worker(WORKER, { workerData: { addonFile, directory: place, steps, what } });
  const [code] = await once(worker, 'exit');
  if (code !== 0 && code !== 7) throw new Error(`${what}, step ${steps}: exit code ${code}`);
  return code === 7;
}

let steps = 0;
while (await endsAt(steps)) steps++;
console.log(`steps ${steps}`);
