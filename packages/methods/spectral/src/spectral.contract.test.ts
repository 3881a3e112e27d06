import { describeOnBothEngines } from '../../../../tools/test-setup/describe-on-both-engines.js';
import { c3a, fourierft, waveft } from './index.js';

describeOnBothEngines(
  fourierft,
  [
    { title: 'by default', options: { frequencies: 12 }, identityAtStart: false },
    {
      title: 'from zero, with counts of their own',
      options: { frequencies: 9, frequencyPattern: { value: 5 }, initWeights: true, bias: 'all' },
      on: ['encoder'],
      withoutGradient: /key\.bias$/,
    },
  ],
  {
    badOptions: [
      { options: { frequencies: 0 }, message: 'fourierft: frequencies must be a positive integer' },
    ],
  },
);
describeOnBothEngines(
  waveft,
  [
    { title: 'by default', options: { frequencies: 12, scaling: 2 } },
    {
      title: 'with a long filter, shared out by size',
      options: {
        frequencies: 12,
        scaling: 2,
        wavelet: 'db3',
        proportional: true,
        targets: 'all-linear',
      },
      on: ['decoder'],
      withoutGradient: /./, // coefficients at the rim are cut off
    },
    {
      title: 'without the transform',
      options: { frequencies: 12, scaling: 2, transform: false },
      on: ['encoder'],
    },
  ],
  {
    badOptions: [{ options: { wavelet: 'db0' }, message: 'waveft: wavelet must be one of db1,' }],
  },
);
describeOnBothEngines(c3a, [
  { title: 'by default', options: { blockSize: 6 }, identityAtStart: false },
  {
    title: 'from zero, with sizes of their own',
    options: { blockSize: 4, blockSizePattern: { value: 3 }, initWeights: true },
    on: ['encoder'],
  },
]);
