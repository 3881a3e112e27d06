import { describePeftMethod } from '@peft/testing';
import { ladder } from './ladder.js';

/** Not part of the base's sums, and one for all rows of a batch. */
const APART = { merges: false, mixes: false } as const;
/** Softmax does not see a number that is the same for all keys. */
const withoutGradient = /key\.bias$/;

describePeftMethod(
  ladder,
  [
    {
      title: 'beside all blocks',
      options: { reductionFactor: 2, dropout: 0 },
      ...APART,
      withoutGradient,
    },
    {
      title: 'in place of the last state, beside the last block alone',
      options: { reductionFactor: 3, blocks: [1], residual: false, dropout: 0 },
      on: ['decoder'],
      identityAtStart: false,
      ...APART,
      withoutGradient,
    },
  ],
  {
    badOptions: [
      {
        options: { reductionFactor: 0 },
        message: 'ladder: reductionFactor must be a positive integer, got 0.',
      },
      {
        options: { blocks: [] },
        message: "ladder: blocks must be 'all' or a list of block numbers, got [].",
      },
    ],
  },
);
