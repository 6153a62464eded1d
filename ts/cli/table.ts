import Table from 'cli-table3';
import type { Output } from './output.js';

const NO_BORDERS = {
  top: '',
  'top-mid': '',
  'top-left': '',
  'top-right': '',
  bottom: '',
  'bottom-mid': '',
  'bottom-left': '',
  'bottom-right': '',
  left: '',
  'left-mid': '',
  mid: '',
  'mid-mid': '',
  right: '',
  'right-mid': '',
  middle: '  ',
};

/** Two columns, name and value, in titled groups. Without borders, so that it can be cut and searched. */
export function renderGroups(
  output: Output,
  groups: readonly {
    readonly title: string;
    readonly rows: readonly (readonly [string, string])[];
  }[],
): string {
  const width = Math.max(...groups.flatMap((group) => group.rows.map(([name]) => name.length)), 1);
  return groups
    .filter((group) => group.rows.length > 0)
    .map((group) => {
      // The colours are ours: the library's own `head` and `border` would ignore --no-color.
      const table = new Table({
        chars: NO_BORDERS,
        style: { 'padding-left': 0, 'padding-right': 0, head: [], border: [] },
      });
      for (const [name, value] of group.rows) table.push([`  ${name.padEnd(width)}`, value]);
      const body = table
        .toString()
        .split('\n')
        .map((line) => line.trimEnd())
        .join('\n');
      return `${output.bold(group.title)}\n${body}`;
    })
    .join('\n\n');
}
