// Compiles ts/ twice, to dist/esm and dist/cjs: one source, both module systems.
import { chmodSync, existsSync, rmSync } from 'node:fs';
import { inRoot, markDistBuilt, packageJson, run, stamp } from './support.mjs';

const tsc = inRoot('node_modules', 'typescript', 'bin', 'tsc');

rmSync(inRoot('dist'), { recursive: true, force: true });
for (const project of ['tsconfig.esm.json', 'tsconfig.cjs.json']) {
  if (!run(process.execPath, [tsc, '--project', project])) process.exit(1);
}
// Says that the .js files below are CommonJS although the package is an ES module.
stamp(inRoot('dist', 'cjs', 'package.json'), '{ "type": "commonjs" }\n');
for (const program of Object.values(packageJson().bin)) {
  if (existsSync(inRoot(program))) chmodSync(inRoot(program), 0o755);
}
markDistBuilt();
