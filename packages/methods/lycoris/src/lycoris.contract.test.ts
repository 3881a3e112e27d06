import { describePeftMethod } from '@peft/testing';
import { loha } from './loha.js';
import { lokr } from './lokr.js';

const bad = (owner: string) => [
  { options: { rank: 0 }, message: `${owner}: rank must be a positive integer, got 0.` },
  { options: { alpha: -1 }, message: `${owner}: alpha must be a number > 0, got -1.` },
  {
    options: { moduleDropout: 2 },
    message: `${owner}: moduleDropout must be a number in [0, 1), got 2.`,
  },
];

describePeftMethod(
  loha,
  [
    { title: 'by default', options: { rank: 2 } },
    {
      title: 'on every linear layer',
      options: { rank: 3, alpha: 2, targets: 'all-linear', rankDropout: 0.2, moduleDropout: 0.1 },
    },
    { title: 'random', options: { rank: 2, initWeights: false }, identityAtStart: false },
    {
      title: 'with ranks by module',
      options: { rank: 2, rankPattern: { '.*value|.*v_proj|.*\\.v': 1 } },
    },
  ],
  { badOptions: bad('loha') },
);

describePeftMethod(
  lokr,
  [
    { title: 'by default', options: { rank: 8 } },
    {
      title: 'with low-rank factors',
      options: {
        rank: 1,
        alpha: 2,
        targets: 'all-linear',
        decomposeBoth: true,
        decomposeFactor: 4,
      },
    },
    { title: 'random', options: { rank: 1, initWeights: false }, identityAtStart: false },
  ],
  {
    badOptions: [
      ...bad('lokr'),
      {
        options: { decomposeFactor: 0 },
        message: 'lokr: decomposeFactor must be a positive integer or -1, got 0.',
      },
    ],
  },
);
