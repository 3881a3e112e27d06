/** Options without which a method does not fit models of 12 features and 16 positions. */
export const TINY_OPTIONS: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  adalora: { totalSteps: 10 },
  vblora: { vectors: 300, vectorLength: 3 },
  adamss: { rank: 4, subspaces: 2 },
  miss: { rank: 6 },
  fourierft: { frequencies: 20 },
  waveft: { frequencies: 20 },
  c3a: { blockSize: 3 },
  compacter: { reductionFactor: 3 },
  'compacter++': { reductionFactor: 3 },
  road: { groupSize: 6 },
  psoft: { rank: 4 },
  shira: { rank: 2 },
  supertuning: { sparsity: 0.9 },
  'trainable-tokens': { tokenIndices: [6, 8, 13, 15] },
  xlora: { adapters: [{ rank: 2 }, { rank: 3 }], trainableAdapters: true },
};
