import { layout } from './layout.js';

/** What the native writer tells without a call; it changes under the reader's eyes. */
export class LogState {
  protected readonly slots = layout().state;

  constructor(protected readonly state: Float64Array) {}

  get appendedSequence(): number {
    return this.state[this.slots.appendedSequence] as number;
  }
  /** The last appended record that ends a batch. */
  get completeSequence(): number {
    return this.state[this.slots.completeSequence] as number;
  }
  /** Survives the end of the process; never inside a batch. */
  get writtenSequence(): number {
    return this.state[this.slots.writtenSequence] as number;
  }
  /** Survives power loss; never inside a batch. */
  get durableSequence(): number {
    return this.state[this.slots.durableSequence] as number;
  }
  get pendingBytes(): number {
    return this.state[this.slots.pendingBytes] as number;
  }
  get freeSegments(): number {
    return this.state[this.slots.freeSegments] as number;
  }
  /** Of the last segment begun; 0 before the first. */
  get segmentId(): number {
    return this.state[this.slots.segmentId] as number;
  }
  get bytesWritten(): number {
    return this.state[this.slots.bytesWritten] as number;
  }
  get groups(): number {
    return this.state[this.slots.groups] as number;
  }
  /** The record appended last is in the group of this number: it is written with all others in it. */
  get groupsBegun(): number {
    return this.state[this.slots.groupsBegun] as number;
  }
  get syncs(): number {
    return this.state[this.slots.syncs] as number;
  }
}
