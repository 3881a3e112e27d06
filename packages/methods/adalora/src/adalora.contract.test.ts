import { describePeftMethod } from '@peft/testing';
import { adalora } from './adalora.js';

describePeftMethod(
  adalora,
  [
    {
      title: 'before ranks are allocated',
      options: { initialRank: 4, targetRank: 2, totalSteps: 10 },
    },
    {
      title: 'on every linear layer',
      options: {
        initialRank: 3,
        targetRank: 1,
        alpha: 4,
        totalSteps: 10,
        targets: 'all-linear',
        dropout: 0.2,
      },
    },
    {
      title: 'with pruned ranks',
      options: {
        initialRank: 3,
        targetRank: 2,
        totalSteps: 10,
        rankPattern: {
          'bert.encoder.layer.0.attention.self.query.lora_E': [false, true, true],
          'bert.encoder.layer.1.attention.self.value.lora_E': [false, false, true],
        },
      },
      on: ['encoder'],
    },
    {
      title: 'random',
      options: { initialRank: 2, targetRank: 1, totalSteps: 10, initWeights: false },
      identityAtStart: false,
      on: ['encoder', 'decoder'],
    },
  ],
  {
    badOptions: [
      { options: {}, message: 'adalora: totalSteps must be a positive integer, got undefined.' },
      {
        options: { totalSteps: 5, initialSteps: 3, finalSteps: 2 },
        message: 'adalora: no step is left to allocate ranks in',
      },
      {
        options: { totalSteps: 5, beta1: 1 },
        message: 'adalora: beta1 must be a number in [0, 1), got 1.',
      },
    ],
  },
);
