import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bundleProgram } from './bundle.js';

const BUILD = fileURLToPath(new URL('../../build/', import.meta.url));

/**
 * For a file of tests that start a program many times: compiled once before them, removed after
 * them. With tsx each start takes a second of a processor more.
 *
 * @returns what node has to be given before the arguments of the program, asked for within a test.
 */
export function useProgram(source: URL): () => readonly string[] {
  // Coverage is counted for code that runs from its source.
  const counted = process.env['NODE_V8_COVERAGE'] !== undefined;
  if (counted) return () => ['--import', 'tsx', fileURLToPath(source)];
  let folder = '';
  let program = '';
  before(() => {
    // In the package: the command line says its version.
    folder = mkdtempSync(join(BUILD, 'program-'));
    program = bundleProgram(source, folder);
  });
  after(() => rmSync(folder, { recursive: true, force: true }));
  return () => [program];
}
