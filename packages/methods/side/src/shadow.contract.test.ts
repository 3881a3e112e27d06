import { describePeftMethod } from '@peft/testing';
import { shadow } from './shadow.js';

/** Not part of the base's sums, and one for all rows of a batch. */
const GENERAL = { on: ['decoder'], merges: false, mixes: false } as const;

describePeftMethod(
  shadow,
  [
    {
      title: 'of one block',
      options: { rank: 3, alpha: 0.7 },
      ...GENERAL,
      // nothing reads what the last block would make of the shadow
      withoutGradient: /\.1\.shadow_update/,
    },
    {
      title: 'of two blocks with a table of its own, at the first block',
      options: {
        rank: 2,
        alpha: 0.5,
        shadowLayers: 2,
        shareEmbeddings: false,
        updateSize: 5,
        initWeights: false,
        blocks: [0],
      },
      ...GENERAL,
      identityAtStart: false,
      withoutGradient: /shadow_update/,
    },
  ],
  {
    badOptions: [
      { options: { rank: 0 }, message: 'shadow: rank must be a positive integer, got 0.' },
      { options: { blocks: [0, 2] }, message: 'numbers of blocks, one behind the other' },
      {
        options: { auxiliaryLossWeight: -1 },
        message: 'auxiliaryLossWeight must be at least 0, got -1.',
      },
    ],
  },
);
