import { describeOnBothEngines } from '../../../../tools/test-setup/describe-on-both-engines.js';
import { boft, hra, osf, psoft, road } from './index.js';

describeOnBothEngines(hra, [
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
]);
describeOnBothEngines(
  road,
  [
    { title: 'by default', options: { groupSize: 6 } },
    { title: 'road_2', options: { groupSize: 2, variant: 'road_2' }, on: ['encoder'] },
    { title: 'road_4', options: { groupSize: 6, variant: 'road_4' }, on: ['decoder'] },
  ],
  {
    badOptions: [{ options: { groupSize: 3 }, message: 'road: groupSize must be even, got 3.' }],
  },
);
describeOnBothEngines(
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
    badOptions: [
      {
        options: { blocks: 3 },
        message: 'boft: exactly one of blockSize and blocks must be over 0, got 4 and 3.',
      },
    ],
  },
);
describeOnBothEngines(
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
    badOptions: [
      { options: { effectiveRank: 0 }, message: 'osf: effectiveRank must be a number > 0, got 0.' },
    ],
  },
);
describeOnBothEngines(
  psoft,
  [
    { title: 'of two directions', options: { rank: 3, alpha: 6 } },
    {
      title: 'without scales, by its series within a limit',
      options: {
        rank: 4,
        cayleyNeumann: true,
        neumannTerms: 4,
        epsilon: 0.3,
        scalesBefore: false,
        scalesAfter: false,
      },
      on: ['encoder'],
    },
    {
      title: 'of any matrix, with signs of its own',
      options: {
        rank: 3,
        orthogonal: false,
        split: 'pissa_init',
        signs: { 'model.layers.0.self_attn.q_proj': '+-+' },
      },
      on: ['decoder'],
    },
  ],
  {
    badOptions: [
      {
        options: { signs: { query: '+0' } },
        message: 'psoft: signs must be a text of + and - for each module',
      },
    ],
  },
);
