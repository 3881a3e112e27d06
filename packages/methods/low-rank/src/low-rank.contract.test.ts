import { describeOnBothEngines } from '../../../../tools/test-setup/describe-on-both-engines.js';
import { deft, delora, glora, gralora, hira, lily, miss, peanut, poly } from './index.js';

describeOnBothEngines(
  miss,
  [
    { title: 'by default, shards that do not divide the width', options: { rank: 5 } },
    {
      title: 'bat',
      options: { rank: 2, initWeights: 'bat', targets: 'all-linear' },
      on: ['encoder'],
    },
    { title: 'mini', options: { rank: 3, initWeights: 'mini', miniRank: 2 }, on: ['decoder'] },
  ],
  {
    badOptions: [
      { options: { initWeights: 'max' }, message: 'miss: initWeights must be one of true, false,' },
      { options: { dropout: 1 }, message: 'miss: dropout must be a number in [0, 1), got 1.' },
    ],
  },
);
describeOnBothEngines(
  hira,
  [
    { title: 'by default', options: { rank: 3, targets: 'all-linear' } },
    {
      title: 'on the word embedding',
      options: { rank: 2, targets: { roles: ['embedding.word'] } },
      on: ['encoder', 'decoder'],
    },
  ],
  {
    badOptions: [
      {
        options: { rankPattern: { query: 0 } },
        message: 'hira: rankPattern["query"] must be a positive integer, got 0.',
      },
    ],
  },
);
describeOnBothEngines(
  gralora,
  [
    { title: 'by default', options: { rank: 4, alpha: 6, blocks: 2 } },
    {
      title: 'hybrid',
      options: {
        rank: 3,
        alpha: 5,
        blocks: 3,
        hybridRank: 2,
        bias: 'gralora_only',
        targets: ['value'],
      },
      on: ['encoder'],
    },
  ],
  {
    badOptions: [
      {
        options: { rank: 3, blocks: 2 },
        message: 'gralora: blocks must divide rank, got 2 and 3.',
      },
    ],
  },
);
describeOnBothEngines(delora, [
  { title: 'by default', options: { rank: 3, lambda: 2 } },
  {
    title: 'by patterns',
    options: { rank: 3, rankPattern: { value: 2 }, lambdaPattern: { query: 4 } },
    on: ['encoder'],
  },
]);
describeOnBothEngines(deft, [
  { title: 'by default', options: { rank: 3 } },
  { title: 'by QR', options: { rank: 3, decomposition: 'qr', alpha: 2 }, on: ['decoder'] },
  {
    title: 'projection only',
    options: { rank: 2, projectionOnly: true },
    on: ['encoder'],
    identityAtStart: false,
  },
]);
describeOnBothEngines(glora, [
  { title: 'by default', options: { rank: 3 } },
  {
    title: 'of vectors',
    options: { weightParts: 'vector', promptPart: 'vector', biasParts: 'vector' },
    on: ['encoder'],
  },
  {
    title: 'of constants alone',
    options: { weightParts: 'constant', promptPart: 'none', biasParts: 'none' },
    on: ['encoder'],
  },
]);
describeOnBothEngines(
  peanut,
  [
    { title: 'by default', options: { rank: 4 } },
    { title: 'deep', options: { rank: 3, depth: 2, activation: 'tanh' }, on: ['decoder'] },
  ],
  {
    badOptions: [{ options: { activation: 'step' }, message: /"step" is not a known activation/ }],
  },
);
describeOnBothEngines(
  lily,
  [
    { title: 'by default', options: { rank: 3 }, merges: false, mixes: false },
    {
      title: 'with A shared by two layers',
      options: { rank: 2, strideA: 2, experts: 3 },
      on: ['decoder'],
      merges: false,
      mixes: false,
    },
  ],
  {
    badOptions: [{ options: { experts: 1 }, message: 'lily: experts must be at least 2, got 1.' }],
  },
);
describeOnBothEngines(
  poly,
  [
    {
      title: 'of two tasks',
      options: { rank: 2, tasks: 2, skills: 3 },
      merges: false,
      mixes: false,
    },
    {
      title: 'of one task and several splits',
      options: { rank: 2, skills: 2, splits: 2, targets: 'all-linear' },
      on: ['decoder'],
      merges: false,
      mixes: false,
    },
  ],
  { badOptions: [{ options: { tasks: 0 }, message: 'poly: tasks must be a positive integer' }] },
);
