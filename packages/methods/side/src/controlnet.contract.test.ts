import { describePeftMethod } from '@peft/testing';
import { controlnet } from './controlnet.js';

/** Not part of the base's sums, and one for all rows of a batch. */
const APART = { merges: false, mixes: false } as const;

describePeftMethod(
  controlnet,
  [
    { title: 'beside the first block', on: ['encoder'], ...APART, withoutGradient: /key\.bias$/ },
    { title: 'beside all blocks', options: { blocks: 2 }, on: ['decoder'], ...APART },
    { title: 'beside the first block', on: ['encoder-decoder'], ...APART },
  ],
  {
    badOptions: [
      { options: { blocks: 0 }, message: 'controlnet: blocks must be a positive integer, got 0.' },
    ],
  },
);
