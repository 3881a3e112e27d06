import { describePeftMethod } from '@peft/testing';
import { trainableTokens } from './trainable-tokens.js';

describePeftMethod(
  trainableTokens,
  [
    { title: 'three rows', options: { tokenIndices: [6, 3, 13] } },
    {
      title: 'of one of two stacks',
      options: { tokenIndices: [6, 3, 13], targets: ['encoder.embed_tokens'] },
      on: ['encoder-decoder'],
      merges: false,
    },
    {
      title: 'also of the output layer',
      options: { tokenIndices: [6, 3, 13], targets: ['embed_tokens', 'lm_head'] },
      on: ['decoder'],
    },
  ],
  {
    badOptions: [
      {
        options: {},
        message: 'trainable-tokens: tokenIndices must be a list of token ids, got undefined.',
      },
      {
        options: { tokenIndices: [] },
        message: 'trainable-tokens: tokenIndices must be a list of token ids, got [].',
      },
      {
        options: { tokenIndices: [1.5] },
        message: 'trainable-tokens: tokenIndices must be a list of token ids, got [1.5].',
      },
    ],
  },
);
