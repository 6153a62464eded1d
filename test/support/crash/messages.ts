// What a campaign and its processes tell each other.
import type { CampaignOptions, Place, Violation } from './campaign.js';

/** As JSON, which has no infinity: null is every state of a point. */
export type WorkerOptions = Omit<CampaignOptions, 'perPoint'> & {
  readonly perPoint: number | null;
};

/** Longer than any token. */
export const POSITION_BYTES = 120;

/** What a worker prints, one JSON document per line. */
export type Message =
  | {
      readonly type: 'states';
      readonly states: number;
      readonly opened: number;
      readonly workloads: number;
      readonly place: Place;
    }
  | { readonly type: 'violation'; readonly violation: Violation }
  | { readonly type: 'end' };
