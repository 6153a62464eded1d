/** What the scan of one segment file found: SegmentScan in native/log/log_reader.h. */
export interface SegmentFacts {
  readonly name: string;
  /** 0: not a live segment; only the `highest` and `durableSequence` fields mean something. */
  readonly segmentId: number;
  readonly previousSequence: number;
  /** Records above were cut by an earlier recovery. */
  readonly limitSequence: number;
  readonly lastSequence: number;
  /** 0: no record of it ends a batch. */
  readonly completeSequence: number;
  /** The highest durable sequence that any of its headers claims. */
  readonly durableSequence: number;
  readonly highestSegmentId: number;
  readonly highestSequence: number;
  /** Where its groups ended, and whether something is left behind. */
  readonly endOffset: number;
  readonly torn: boolean;
}

/** The order of reading, and where it ends. */
export interface ReplayPlan {
  /** Names of the segments to apply, in order. */
  readonly order: readonly string[];
  /** The last record to apply: it ends a batch. */
  readonly lastSequence: number;
  /** The highest sequence and segment id that any header names: later ones must be above. */
  readonly highestSequence: number;
  readonly highestSegmentId: number;
  /** Something was written behind lastSequence and is cut. */
  readonly tornTail: boolean;
  /** Acknowledged records are missing: known durable up to `bound`, readable up to lastSequence. */
  readonly damage:
    { readonly name: string; readonly offset: number; readonly bound: number } | undefined;
}

/**
 * The limit of each live segment, given in ascending order of id: where the log before any later
 * segment ended. A recovery that cuts the log at L begins a segment with previousSequence L, and
 * from then on everything above L in earlier segments is gone, whatever its checksum says.
 *
 * Example: segment 4 was read up to 120 and torn there, 5 had begun at 130 and was dropped. The
 * next one, 6, has previousSequence 120: limits are 120 for 4, 120 for 5 (nothing of it), none for 6.
 */
export function limitsOf(previousSequences: readonly number[]): number[] {
  const limits = new Array<number>(previousSequences.length);
  let limit = Number.MAX_SAFE_INTEGER;
  for (let index = previousSequences.length - 1; index >= 0; index--) {
    limits[index] = limit;
    limit = Math.min(limit, previousSequences[index] as number);
  }
  return limits;
}

/**
 * Decides what of the log counts. A record is lost for one of two reasons (reliability.md 2.2 rule
 * 2): a crash tore what nobody had been promised, and the tail is cut; or the device damaged what
 * was durable, and then some header, or the manifest, has a durable sequence above what can be read.
 *
 * @param live live segments in ascending order of id.
 * @param others files that are no live segment: evidence only.
 * @param startSequence the checkpoint holds everything up to here.
 * @param durableSequence what the manifest knows to be durable.
 */
export function planReplay(
  live: readonly SegmentFacts[],
  others: readonly SegmentFacts[],
  startSequence: number,
  durableSequence: number,
): ReplayPlan {
  const order: string[] = [];
  let last = startSequence;
  let complete = startSequence;
  let torn = false;
  let end = { name: live[0]?.name ?? others[0]?.name ?? 'log-0000', offset: 0 };
  for (const segment of live) {
    // All of it was cut before.
    if (segment.limitSequence <= segment.previousSequence) continue;
    if (segment.previousSequence > startSequence && segment.previousSequence !== last) {
      torn = true;
      if (order.length === 0) end = { name: segment.name, offset: 0 };
      break;
    }
    order.push(segment.name);
    last = Math.max(segment.lastSequence, startSequence);
    complete = Math.max(complete, segment.completeSequence);
    torn = segment.torn;
    end = { name: segment.name, offset: segment.endOffset };
  }
  let bound = durableSequence;
  let highestSequence = complete;
  let highestSegmentId = 0;
  for (const facts of [...live, ...others]) {
    bound = Math.max(bound, facts.durableSequence);
    highestSequence = Math.max(highestSequence, facts.highestSequence);
    highestSegmentId = Math.max(highestSegmentId, facts.highestSegmentId);
  }
  return {
    order,
    lastSequence: complete,
    highestSequence: Math.max(highestSequence, bound),
    highestSegmentId,
    tornTail: torn || last > complete,
    damage: bound > complete ? { ...end, bound } : undefined,
  };
}
