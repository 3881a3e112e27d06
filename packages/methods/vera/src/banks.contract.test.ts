import { describeOnBothEngines } from '../../../../tools/test-setup/describe-on-both-engines.js';
import { pvera, randlora, tinylora, unilora, vblora } from './index.js';

describeOnBothEngines(pvera, [
  // half of d is a variance, which counts in training alone
  { title: 'by default', options: { rank: 3 } },
  {
    title: 'drawn at inference, too',
    options: { rank: 3, sampleAtInference: true, saveProjection: false },
    on: ['decoder'],
    merges: false,
    mixes: false,
  },
]);
describeOnBothEngines(
  randlora,
  [
    { title: 'by default', options: { rank: 3, alpha: 3, targets: 'all-linear' } },
    {
      title: 'sparse, its bases left out of the file',
      options: { rank: 5, alpha: 5, sparse: true, saveProjection: false },
      on: ['encoder'],
    },
  ],
  {
    badOptions: [
      { options: { saveProjection: false }, message: 'randlora: dense bases must be in the file' },
    ],
  },
);
describeOnBothEngines(
  vblora,
  [
    {
      title: 'by default',
      options: { rank: 2, vectors: 5, vectorLength: 3, initialBound: 0.3 },
      identityAtStart: false,
    },
  ],
  {
    badOptions: [
      {
        options: { topk: 3, vectors: 2 },
        message: 'vblora: topk must be at most vectors, got 3 and 2.',
      },
    ],
  },
);
describeOnBothEngines(
  tinylora,
  [
    { title: 'by default', options: { size: 5 } },
    {
      title: 'tied, P left out of the file',
      options: { rank: 3, size: 6, weightTying: 0.5, saveProjection: false },
      on: ['encoder'],
    },
  ],
  {
    badOptions: [
      {
        options: { weightTying: 2 },
        message: 'tinylora: weightTying must be a number from 0 to 1, got 2.',
      },
    ],
  },
);
describeOnBothEngines(unilora, [
  {
    title: 'by default',
    options: { rank: 2, length: 30, initialBound: 0.2 },
    identityAtStart: false,
  },
  {
    title: 'with its indices in the file',
    options: { rank: 2, length: 31, initialBound: 0.2, saveIndices: true },
    on: ['encoder'],
    identityAtStart: false,
  },
]);
