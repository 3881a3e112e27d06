/** How tensors of a model are cut out of those of a checkpoint, or of the reference. */

/** A stored tensor, or what stands at `index` of its first axis. */
export interface TensorPiece {
  readonly name: string;
  readonly index?: number;
}

/** Where a tensor stands in the reference's own parameter, which holds one for each expert. */
export interface TensorEntry {
  readonly of: string;
  readonly index: number;
  readonly count: number;
}
