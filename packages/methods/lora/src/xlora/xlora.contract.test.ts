import { describePeftMethod, type MethodCase } from '@peft/testing';
import { xlora } from './xlora.js';

const random = { rank: 2, init: 'random' } as const;
const general = {
  on: ['encoder', 'decoder'],
  identityAtStart: false,
  merges: false,
  mixes: false,
} as const;
const FORMS: readonly MethodCase<'xlora'>[] = [
  { title: 'one weight for all layers', options: { adapters: [random, random] }, ...general },
  {
    title: 'a deep classifier for each layer, and adapters that train along',
    options: {
      adapters: [random, { ...random, rank: 3, targets: 'all-linear', alpha: 5 }, { rank: 1 }],
      depth: 3,
      width: 5,
      layerwise: true,
      trainableAdapters: true,
      temperature: 0.5,
    },
    ...general,
    on: ['decoder'],
  },
  {
    title: 'the largest alone, on the word embedding, too',
    options: {
      adapters: [
        { ...random, targets: { roles: ['embedding.word', 'attention.query'] } },
        { ...random, alpha: 6 },
        { ...random, alpha: 3 },
      ],
      topK: 2,
      topKSoftmax: true,
      softmax: false,
      aheadWeight: 0.5,
      strength: 3,
    },
    ...general,
    on: ['encoder'],
  },
];

describePeftMethod(xlora, FORMS, {
  badOptions: [
    { options: {}, message: 'adapters must be a list of folders of LoRA adapters' },
    { options: { adapters: [random, {}] }, message: 'adapter 1 is new and changes nothing' },
    { options: { adapters: [random], topK: 2 }, message: 'topK is 2, and there are 1 adapters' },
  ],
});
