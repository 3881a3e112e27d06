import { describeOnBothEngines } from '../../../../tools/test-setup/describe-on-both-engines.js';
import { adaptionPrompt, cartridge, cpt } from './index.js';

const APART = { on: ['decoder'], merges: false, mixes: false } as const;

describeOnBothEngines(
  adaptionPrompt,
  [
    { title: 'in all blocks', options: { length: 3 }, ...APART },
    { title: 'in the last', options: { length: 2, layers: 1 }, ...APART },
  ],
  {
    badOptions: [
      { options: { layers: 0 }, message: 'adaption-prompt: layers must be a positive integer' },
    ],
  },
);
describeOnBothEngines(
  cartridge,
  [
    {
      title: 'by default',
      options: { virtualTokens: 3 },
      merges: false,
      mixes: false,
      identityAtStart: false,
    },
    {
      title: 'with nothing frozen',
      options: { virtualTokens: 2, frozenTokens: 0 },
      ...APART,
      identityAtStart: false,
    },
  ],
  {
    badOptions: [
      {
        options: { virtualTokens: 2, frozenTokens: 2 },
        message: 'cartridge: frozenTokens must be fewer than virtualTokens, got 2 of 2.',
      },
    ],
  },
);
describeOnBothEngines(
  cpt,
  [
    {
      title: 'a prompt whose answer stays',
      // ε far over the width's share, so that the ball is not what moves
      options: { tokenIds: [3, 7, 5], types: [1, 2, 4], epsilon: 50, formatEpsilon: 50 },
      ...APART,
      identityAtStart: false,
    },
  ],
  {
    badOptions: [
      { options: { tokenIds: [] }, message: 'cpt: tokenIds must be a list of at least one whole' },
    ],
  },
);
