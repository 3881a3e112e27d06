import { describePeftMethod } from '@peft/testing';
import { vera } from './vera.js';

describePeftMethod(
  vera,
  [
    { title: 'by default', options: { rank: 5 } },
    {
      title: 'on layers of unequal size',
      options: { rank: 4, targets: 'all-linear', projectionSeed: 7 },
    },
    { title: 'without its projections in the file', options: { rank: 4, saveProjection: false } },
    { title: 'random', options: { rank: 4, initWeights: false }, identityAtStart: false },
    {
      title: 'with the biases of its targets',
      options: { rank: 4, bias: 'vera_only', dropout: 0.3 },
      on: ['encoder'],
    },
  ],
  {
    badOptions: [
      { options: { rank: -1 }, message: 'vera: rank must be a positive integer, got -1.' },
      { options: { bias: 'lora_only' }, message: 'vera: bias must be one of none, all, vera_only' },
      {
        options: { projectionSeed: 1.5 },
        message: 'vera: projectionSeed must be an integer of at least 0, got 1.5.',
      },
    ],
  },
);
