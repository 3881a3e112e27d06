import { describeOnBothEngines } from '../../../../tools/test-setup/describe-on-both-engines.js';
import { beft } from './beft.js';

describeOnBothEngines(
  beft,
  [
    { title: 'beside the biases of the values', on: ['encoder'] },
    // what has no bias cannot hold one
    { title: 'where there is none', on: ['encoder-decoder', 'decoder'], merges: false },
  ],
  {
    badOptions: [
      { options: { initWeights: 1 }, message: 'beft: initWeights must be true or false, got 1.' },
    ],
  },
);
