import { describeOnBothEngines } from '../../../../../tools/test-setup/describe-on-both-engines.js';
import { adamss } from './adamss.js';

describeOnBothEngines(
  adamss,
  [
    { title: 'by default', options: { rank: 4, subspaces: 2 } },
    {
      title: 'of more ranks, on maps of other widths',
      options: {
        rank: 5,
        subspaces: 2,
        subspaceRank: 2,
        targets: ['v_proj', 'down_proj'],
      },
      on: ['decoder'],
    },
    {
      title: 'letting subspaces rest',
      options: {
        rank: 4,
        subspaces: 3,
        adaptive: true,
        targetSubspaces: 4,
        initialWarmup: 0,
        finalWarmup: 3,
        interval: 1,
      },
      on: ['encoder'],
    },
  ],
  {
    badOptions: [
      {
        options: { rank: 2, subspaceRank: 3 },
        message: 'adamss: subspaceRank must be at most rank, got 3 over 2.',
      },
      {
        options: { adaptive: true, initialWarmup: 5, finalWarmup: 5 },
        message: 'adamss: initialWarmup must be below finalWarmup, got 5 and 5.',
      },
      { options: { pieces: { query: [{ rows: 3 }] } }, message: 'adamss: pieces must hold lists' },
    ],
  },
);
