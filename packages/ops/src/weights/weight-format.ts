/** How a frozen weight's elements are stored. */
export type WeightFormat = 'f32' | 'f16' | 'bf16' | 'int8' | 'nf4' | 'fp4';
