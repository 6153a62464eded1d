import { Worker } from 'node:worker_threads';

/** A worker that runs that file with `data`; of TypeScript as well. */
export function startWorker(file: string, data: unknown): Worker {
  const options = { workerData: data, execArgv: [] };
  if (!file.endsWith('.ts')) return new Worker(file, options);
  // A loader given by --import does not reach workers on Node 20: the worker registers its own.
  const program = `import('tsx/esm/api').then((tsx) => { tsx.register(); return import(FILE); });`;
  return new Worker(program.replace('FILE', JSON.stringify(file)), { ...options, eval: true });
}
