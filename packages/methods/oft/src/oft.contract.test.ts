import { describePeftMethod } from '@peft/testing';
import { oft } from './oft.js';

describePeftMethod(
  oft,
  [
    { title: 'by the series', options: { blockSize: 4 } },
    {
      title: 'by the inverse, on every linear layer',
      options: { blockSize: 4, cayleyNeumann: false, targets: 'all-linear' },
    },
    {
      title: 'with one rotation for all blocks',
      options: { rank: 3, blockShare: true, neumannTerms: 3 },
    },
    { title: 'random', options: { blockSize: 6, initWeights: false }, identityAtStart: false },
    {
      title: 'constrained',
      options: { blockSize: 4, constrained: true, epsilon: 0.6 },
      exactGradient: false,
    },
    {
      title: 'with dropout and the biases of its targets',
      options: { blockSize: 4, moduleDropout: 0.5, bias: 'oft_only' },
      on: ['encoder'],
    },
  ],
  {
    badOptions: [
      {
        options: { rank: 2, blockSize: 4 },
        message: 'oft: exactly one of rank and blockSize must be over 0, got 2 and 4.',
      },
      { options: { epsilon: 0 }, message: 'oft: epsilon must be a number > 0, got 0.' },
      {
        options: { neumannTerms: 0 },
        message: 'oft: neumannTerms must be a positive integer, got 0.',
      },
    ],
  },
);
