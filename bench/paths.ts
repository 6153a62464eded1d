import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The package's directory: above bench/ in the repository, above dist/bench/ in the package. */
export const PACKAGE_ROOT = packageRoot(dirname(fileURLToPath(import.meta.url)));

function packageRoot(from: string): string {
  if (existsSync(join(from, 'package.json')) || dirname(from) === from) return from;
  return packageRoot(dirname(from));
}

/**
 * The built package where there is one: what users run, and tsx (which runs the sources) wraps every
 * closure to keep its name, which hot paths would pay for. `CAIRN_BENCH_ENGINE` names another build.
 */
export function engineEntry(): { readonly file: string; readonly kind: string } {
  const chosen = process.env['CAIRN_BENCH_ENGINE'];
  if (chosen !== undefined) return { file: chosen, kind: chosen };
  const built = join(PACKAGE_ROOT, 'dist/esm/index.js');
  if (existsSync(built)) return { file: built, kind: 'built package' };
  return { file: join(PACKAGE_ROOT, 'ts/index.ts'), kind: 'sources' };
}
