import { describePeftMethod } from '@peft/testing';
import { {{camel}} } from './{{name}}.js';

describePeftMethod(
  {{camel}},
  [
    // Longer sequences are another function from the start, and a batch takes one adapter.
    { title: 'in front of every stack', identityAtStart: false, merges: false, mixes: false },
  ],
  {
    badOptions: [
      {
        options: { virtualTokens: 0 },
        message: '{{name}}: virtualTokens must be a positive integer, got 0.',
      },
    ],
  },
);
