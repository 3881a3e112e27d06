/** How a frozen weight's elements are stored. */
export type WeightFormat = ConvertibleFormat | StoredOnlyFormat;

/** What any weight can be made while it is read. */
export type ConvertibleFormat = 'f32' | 'f16' | 'bf16' | 'int8' | 'nf4' | 'fp4';

/**
 * What a checkpoint has to be quantised to before: `int4`, codes with scales and zero points of
 * groups; `mxfp4`, 4-bit floats (e2m1) with a power of two for each 32.
 */
export type StoredOnlyFormat = 'int4' | 'mxfp4';

/** Whether a weight is stored in four or eight bits. */
export const isQuantizedFormat = (format: WeightFormat): boolean =>
  format !== 'f32' && format !== 'f16' && format !== 'bf16';
