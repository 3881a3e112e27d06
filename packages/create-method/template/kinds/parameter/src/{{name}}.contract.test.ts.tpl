import { describePeftMethod } from '@peft/testing';
import { {{camel}} } from './{{name}}.js';

describePeftMethod(
  {{camel}},
  [
    { title: 'norms' },
    {
      title: 'biases',
      options: { words: ['bias'] },
      on: ['encoder'],
      withoutGradient: /attention\.self\.key\.bias$/,
    },
  ],
  {
    badOptions: [
      {
        options: { words: [] },
        message: '{{name}}: words must be a list of at least one word, got [].',
      },
    ],
  },
);
