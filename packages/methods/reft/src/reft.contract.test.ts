import { describePeftMethod } from '@peft/testing';
import { reft } from './reft.js';

const REFT = { identityAtStart: false, merges: false, mixes: false } as const;
/**
 * LoReFT's gradients are tested apart: only the integer part of a diagonal counts, and off its
 * start that is 0 here and there.
 */
const options = { dropout: 0, rank: 2 };

describePeftMethod(
  reft,
  [
    {
      title: 'LoReFT',
      options: { ...options, prefixPositions: 2, suffixPositions: 1 },
      ...REFT,
      withoutGradient: /units/,
    },
    {
      title: 'NoReFT with one unit for both ends',
      options: {
        ...options,
        orthogonality: false,
        tiedWeights: true,
        prefixPositions: 1,
        suffixPositions: 2,
      },
      ...REFT,
    },
    {
      title: 'DiReFT with an activation, behind block 1',
      options: {
        ...options,
        orthogonality: false,
        subtractProjection: false,
        suffixPositions: 1,
        nonLinearity: 'relu',
        layers: [1],
      },
      ...REFT,
    },
  ],
  {
    badOptions: [
      { options: { rank: 0 }, message: 'reft: rank must be a positive integer, got 0.' },
      {
        options: { prefixPositions: 0 },
        message: 'reft: prefixPositions and suffixPositions are both 0',
      },
      {
        options: { layers: [] },
        message: "reft: layers must be 'all' or a list of block numbers, got [].",
      },
    ],
  },
);
