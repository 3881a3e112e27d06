import { describePeftMethod } from '@peft/testing';
import { {{camel}} } from './{{name}}.js';

describePeftMethod(
  {{camel}},
  [
    // A branch is no matrix that could be merged into, and a batch takes one adapter.
    { title: 'at every branch', merges: false, mixes: false },
    {
      title: 'with noise',
      options: { noise: 0.1 },
      identityAtStart: false,
      merges: false,
      mixes: false,
    },
  ],
  { badOptions: [{ options: { noise: Number.NaN }, message: '{{name}}: noise must be' }] },
);
