import { describePeftMethod } from '@peft/testing';
import { {{camel}} } from './{{name}}.js';

describePeftMethod(
  {{camel}},
  [
    // Extra keys change what every query sees, so that nothing can be merged, and a batch takes one adapter.
    { title: 'at every attention', identityAtStart: false, merges: false, mixes: false },
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
