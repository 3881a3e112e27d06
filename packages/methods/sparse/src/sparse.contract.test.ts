import { describeOnBothEngines } from '../../../../tools/test-setup/describe-on-both-engines.js';
import { frod, shira, supertuning } from './index.js';

describeOnBothEngines(shira, [{ title: 'by default', options: { rank: 2, seed: 3 } }], {
  badOptions: [{ options: { seed: -1 }, message: 'shira: seed must be an integer of at least 0' }],
});
describeOnBothEngines(
  supertuning,
  [
    { title: 'by default', options: { sparsity: 0.8 } },
    {
      title: 'with LoRA, its places left out of the file',
      options: { sparsity: 0.9, rank: 2, saveIndices: false },
      on: ['encoder'],
    },
    {
      title: 'at the smallest weights',
      options: { sparsity: 0.8, largest: false },
      on: ['decoder'],
    },
  ],
  {
    badOptions: [
      { options: { sparsity: 1 }, message: 'supertuning: sparsity must be a number in [0, 1)' },
      { options: { alpha: 2 }, message: 'supertuning: alpha goes with rank, got 2 without one.' },
    ],
  },
);
describeOnBothEngines(
  frod,
  [
    { title: 'by default', options: { rate: 0.05 } },
    {
      title: 'on maps of other widths',
      options: { rate: 0.1, seed: 3, targets: ['v_proj', 'down_proj'] },
      on: ['decoder'],
    },
  ],
  { badOptions: [{ options: { rate: 1 }, message: 'frod: rate must be a number in [0, 1)' }] },
);
