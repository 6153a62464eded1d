import Table from 'cli-table3';
import { BEHAVIOURS, runCell, type Finding } from './cell.js';
import { nameOf, type Combination } from './combination.js';

export interface MatrixResult {
  readonly table: string;
  readonly checks: number;
  /** One line each. */
  readonly failures: readonly string[];
}

/** One combination and backend after the other: each starts a process of its own. */
export async function runMatrix(
  chosen: readonly Combination[],
  ioTypes: readonly string[],
  directory: string,
  say: (line: string) => void = () => undefined,
): Promise<MatrixResult> {
  const columns: { readonly combination: Combination; readonly findings: Finding[] }[] = [];
  const failures: string[] = [];
  let checks = 0;
  for (const combination of chosen) {
    const findings: Finding[] = [];
    for (const io of ioTypes) {
      const began = performance.now();
      const found = await runCell(combination, io, directory);
      findings.push(...found);
      checks += found.length;
      const seconds = ((performance.now() - began) / 1000).toFixed(1);
      say(`${nameOf(combination)} on ${io}: ${found.length} checks in ${seconds} s`);
      for (const { behaviour, phase, failure } of found) {
        if (failure === undefined) continue;
        failures.push(`${nameOf(combination)} on ${io}: ${behaviour}, ${phase}: ${failure}`);
        say(`FAILED ${failures.at(-1)}`);
      }
    }
    columns.push({ combination, findings });
  }
  return { table: render(columns), checks, failures };
}

/** A row per behaviour; a cell says how many of its checks passed. */
function render(
  columns: readonly { readonly combination: Combination; readonly findings: Finding[] }[],
): string {
  const table = new Table({
    head: ['behaviour', ...columns.map((_, at) => String(at + 1))],
    style: { head: [], border: [], compact: true },
  });
  const notes = new Set<string>();
  for (const { number, title, notFor } of BEHAVIOURS) {
    const cells = columns.map(({ combination, findings }) => {
      const reason = notFor?.({ ...combination, io: '', directory: '' });
      if (reason !== undefined) {
        notes.add(`${number} n/a: ${reason}`);
        return 'n/a';
      }
      const own = findings.filter(({ behaviour }) => behaviour === number);
      const passed = own.filter(({ failure }) => failure === undefined).length;
      return passed === own.length ? `${passed} ok` : `${own.length - passed} FAILED`;
    });
    table.push([`${number} ${title}`, ...cells]);
  }
  const names = columns.map(({ combination }, at) => `${at + 1}: ${nameOf(combination)}`);
  return [...names, table.toString(), ...notes].join('\n');
}
