import { describePeftMethod } from '@peft/testing';
import { {{camel}} } from './{{name}}.js';

describePeftMethod(
  {{camel}},
  [
    { title: 'on the word embedding', on: ['encoder', 'decoder'] },
    {
      title: 'on the embeddings of two stacks, which read one table',
      on: ['encoder-decoder'],
      merges: false,
    },
    {
      title: 'with noise',
      options: { noise: 0.1 },
      identityAtStart: false,
      on: ['encoder', 'decoder'],
    },
  ],
  { badOptions: [{ options: { noise: Number.NaN }, message: '{{name}}: noise must be' }] },
);
