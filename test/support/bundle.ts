import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

type Esbuild = {
  buildSync(options: Readonly<Record<string, unknown>>): unknown;
};

const require = createRequire(import.meta.url);
// The compiler of tsx: the same version sees the same sources.
const { buildSync } = createRequire(require.resolve('tsx'))('esbuild') as Esbuild;

/**
 * Compiles a program with all that it imports into one file. With tsx a process takes three times as
 * long to start, and has the name of every function set whenever it is made, which is a tenth of its
 * time: closures are made with every call.
 *
 * @returns the file in `folder`. It finds the addon by CAIRN_ADDON_PATH, which is set.
 */
export function bundleProgram(source: URL, folder: string): string {
  const outfile = join(folder, 'program.cjs');
  buildSync({
    entryPoints: [fileURLToPath(source)],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: `node${process.versions.node}`,
    logLevel: 'error',
  });
  const addon = fileURLToPath(new URL('../../build/Release/cairn.node', import.meta.url));
  process.env['CAIRN_ADDON_PATH'] ??= addon;
  return outfile;
}
