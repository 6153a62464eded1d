import { StageRunner, type Stage } from './stages.js';

/**
 * One engine in a process of its own: engines do not share a heap, a compiled loop or a crash, and a
 * store can be killed. Ends when its parent does.
 */
const runner = new StageRunner();

process.on('message', (message: { readonly id: number; readonly stage: Stage }) => {
  runner.run(message.stage).then(
    (answer) => process.send?.({ id: message.id, answer }),
    (error: unknown) =>
      process.send?.({
        id: message.id,
        error: error instanceof Error ? (error.stack ?? error.message) : String(error),
      }),
  );
});
process.on('disconnect', () => process.exit(0));
// The parent decides: an interrupt reaches the whole process group.
process.on('SIGINT', () => undefined);
