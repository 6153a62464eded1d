/** Levenshtein distance, or `limit + 1` as soon as it must be more than `limit`. */
export function editDistance(a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) > limit) return limit + 1;
  let previous = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row += 1) {
    const current = [row];
    let best = row;
    for (let column = 1; column <= b.length; column += 1) {
      const substituted = (previous[column - 1] ?? 0) + (a[row - 1] === b[column - 1] ? 0 : 1);
      const removed = (previous[column] ?? 0) + 1;
      const inserted = (current[column - 1] ?? 0) + 1;
      const distance = Math.min(substituted, removed, inserted);
      current.push(distance);
      best = Math.min(best, distance);
    }
    if (best > limit) return limit + 1;
    previous = current;
  }
  return Math.min(previous[b.length] ?? limit + 1, limit + 1);
}

// Case and separators are what people get wrong most: readOnly, read-only, Ssd_Slab.
function fold(name: string): string {
  return name.replace(/[-_\s]/g, '').toLowerCase();
}

/**
 * The candidate that `given` is probably a misspelling of: at most one edit in three characters,
 * three in all, or a beginning that only one candidate has.
 */
export function nearestName(given: string, candidates: readonly string[]): string | undefined {
  if (given.length === 0 || given.length > 64) return undefined;
  const folded = fold(given);
  const limit = Math.min(3, Math.floor(folded.length / 3));
  let nearest: string | undefined;
  let nearestDistance = limit + 1;
  for (const candidate of candidates) {
    const distance = editDistance(folded, fold(candidate), limit);
    if (distance < nearestDistance) {
      nearest = candidate;
      nearestDistance = distance;
    }
  }
  if (nearest !== undefined || folded.length < 3) return nearest;
  const longer = candidates.filter((candidate) => fold(candidate).startsWith(folded));
  return longer.length === 1 ? longer[0] : undefined;
}
