import { describePeftMethod } from '@peft/testing';
import { ia3 } from './ia3.js';

describePeftMethod(
  ia3,
  [
    { title: 'by default' },
    {
      title: 'at outputs alone',
      options: {
        targets: { roles: ['attention.query', 'attention.value'] },
        feedforwardModules: [],
      },
    },
    {
      title: 'at inputs alone',
      options: { targets: { roles: ['ffn.up', 'ffn.down'] }, feedforwardModules: '.*' },
    },
    { title: 'with random vectors', options: { initWeights: false }, identityAtStart: false },
  ],
  {
    badOptions: [
      {
        options: { feedforwardModules: 3 },
        message: 'ia3: feedforwardModules must be a list of names or a regular expression, got 3.',
      },
      { options: { initWeights: 1 }, message: 'ia3: initWeights must be true or false, got 1.' },
      { options: { targets: [] }, message: 'ia3: targets must be a list of at least one name' },
    ],
  },
);
