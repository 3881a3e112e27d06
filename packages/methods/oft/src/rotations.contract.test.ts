import { createNativeEngine } from '@peft/native';
import { createPortableEngine } from '@peft/portable';
import { describePeftMethod } from '@peft/testing';
import { boft, hra, osf, road } from './index.js';

/** All forms on the native engine; with PEFT_LONG_TESTS on the portable one. */
const options = {
  createEngine: process.env['PEFT_LONG_TESTS']
    ? createPortableEngine
    : () => createNativeEngine({ precision: 'float32' }),
};

describePeftMethod(
  hra,
  [
    { title: 'by default', options: { rank: 4 } },
    {
      title: 'one reflection',
      options: { rank: 1 },
      on: ['decoder'],
      identityAtStart: false,
    },
    {
      title: 'orthonormal',
      options: { rank: 3, orthogonal: true, bias: 'hra_only' },
      on: ['encoder'],
      identityAtStart: false,
    },
  ],
  options,
);
describePeftMethod(
  road,
  [
    { title: 'by default', options: { groupSize: 6 } },
    { title: 'road_2', options: { groupSize: 2, variant: 'road_2' }, on: ['encoder'] },
    { title: 'road_4', options: { groupSize: 6, variant: 'road_4' }, on: ['decoder'] },
  ],
  {
    ...options,
    badOptions: [{ options: { groupSize: 3 }, message: 'road: groupSize must be even, got 3.' }],
  },
);
describePeftMethod(
  boft,
  [
    { title: 'by default', options: { blockSize: 3 } },
    {
      title: 'of two factors',
      options: { blockSize: 2, factors: 2, bias: 'boft_only' },
      on: ['encoder'],
    },
    { title: 'by number', options: { blockSize: 0, blocks: 2 }, on: ['decoder'] },
  ],
  {
    ...options,
    badOptions: [
      {
        options: { blocks: 3 },
        message: 'boft: exactly one of blockSize and blocks must be over 0, got 4 and 3.',
      },
    ],
  },
);
describePeftMethod(
  osf,
  [
    { title: 'by default', exactGradient: false },
    {
      title: 'with ranks of their own',
      options: { effectiveRank: 4, rankPattern: { value: 0.25 }, targets: 'all-linear' },
      on: ['encoder'],
      exactGradient: false,
    },
  ],
  {
    ...options,
    badOptions: [
      { options: { effectiveRank: 0 }, message: 'osf: effectiveRank must be a number > 0, got 0.' },
    ],
  },
);
