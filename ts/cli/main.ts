#!/usr/bin/env node
import { readFileSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { OpenStore, RawConfig } from './context.js';
import { CliError, EXIT_FAILED } from './errors.js';
import { runCli } from './program.js';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** Loaded when a store is opened: `--help` and much of `doctor` work without the addon. */
const open: OpenStore = async (path: string, config: RawConfig) => {
  const engine = await import('../index.js');
  return engine.open(path, config);
};

async function main(): Promise<void> {
  const interrupt = new AbortController();
  let received: NodeJS.Signals | undefined;
  const onSignal = (signal: NodeJS.Signals): void => {
    received = signal;
    // A second signal ends the process at once: the store is crash-safe anyway.
    releaseSignals();
    interrupt.abort(
      new CliError('CLI_INTERRUPTED', `ended by ${signal}; the store was closed cleanly`),
    );
  };
  const releaseSignals = (): void => SIGNALS.forEach((name) => process.off(name, onSignal));
  for (const name of SIGNALS) process.on(name, onSignal);

  const { stdin, stdout, stderr, env } = process;
  const host = { open, stdin, stdout, stderr, env, version: packageVersion(), releaseSignals };
  const exitCode = await runCli(process.argv.slice(2), host, interrupt.signal);
  releaseSignals();
  process.exitCode = exitCode;
  // Whoever started us learns that a signal ended us, as from a program without a handler.
  if (received !== undefined) process.kill(process.pid, received);
}

/** The nearest package.json above the program file. */
function packageVersion(): string {
  let folder = dirname(realpathSync(process.argv[1] ?? '.'));
  for (;;) {
    try {
      const { version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as {
        version?: string;
      };
      if (version !== undefined) return version;
    } catch {
      // Not here: one folder up.
    }
    const parent = dirname(folder);
    if (parent === folder) return '0.0.0';
    folder = parent;
  }
}

main().catch((error: unknown) => {
  process.stderr.write(
    `cairn: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
  );
  process.exitCode = EXIT_FAILED;
});
