import { createNativeEngine } from '@peft/native';
import { createPortableEngine } from '@peft/portable';
import { describePeftMethod } from '@peft/testing';
import { beft } from './beft.js';

describePeftMethod(
  beft,
  [
    { title: 'beside the biases of the values', on: ['encoder'] },
    // what has no bias cannot hold one
    { title: 'where there is none', on: ['encoder-decoder', 'decoder'], merges: false },
  ],
  {
    createEngine: process.env['PEFT_LONG_TESTS']
      ? createPortableEngine
      : () => createNativeEngine({ precision: 'float32' }),
    badOptions: [
      { options: { initWeights: 1 }, message: 'beft: initWeights must be true or false, got 1.' },
    ],
  },
);
