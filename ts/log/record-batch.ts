import { layout } from './layout.js';

/**
 * Records on their way from the log to the engine, in the order of the log. The arrays belong to
 * the log: they are valid until the callback that got the batch returns (or its promise resolves).
 */
export class RecordBatch {
  count = 0;
  /** The segment that keys and values lie in. */
  bytes: Uint8Array = new Uint8Array(0);

  private readonly row = layout().row;
  private readonly rowSlots = layout().rowSlots;

  /** @param rows as the addon fills them. */
  constructor(public rows: Float64Array) {}

  kind(index: number): number {
    return this.rows[index * this.rowSlots + this.row.kind] as number;
  }
  flags(index: number): number {
    return this.rows[index * this.rowSlots + this.row.flags] as number;
  }
  handle(index: number): number {
    return this.rows[index * this.rowSlots + this.row.handle] as number;
  }
  sequence(index: number): number {
    return this.rows[index * this.rowSlots + this.row.sequence] as number;
  }
  /** Position of the key in `bytes`. */
  keyOffset(index: number): number {
    return this.rows[index * this.rowSlots + this.row.keyOffset] as number;
  }
  keySize(index: number): number {
    return this.rows[index * this.rowSlots + this.row.keySize] as number;
  }
  valueOffset(index: number): number {
    return this.rows[index * this.rowSlots + this.row.valueOffset] as number;
  }
  valueSize(index: number): number {
    return this.rows[index * this.rowSlots + this.row.valueSize] as number;
  }
  /** A view of the key; copy what is to be kept. */
  key(index: number): Uint8Array {
    const offset = this.keyOffset(index);
    return this.bytes.subarray(offset, offset + this.keySize(index));
  }
  /** A view of the value; copy what is to be kept. */
  value(index: number): Uint8Array {
    const offset = this.valueOffset(index);
    return this.bytes.subarray(offset, offset + this.valueSize(index));
  }
}
