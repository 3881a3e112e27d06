import { describePeftMethod } from '@peft/testing';
import { bitfit } from './bitfit.js';
import { lnTuning } from './ln-tuning.js';

/** Softmax ignores what all keys share. */
const withoutGradient = /attention\.self\.key\.bias$/;

describePeftMethod(
  bitfit,
  [
    { title: 'biases', on: ['encoder'], withoutGradient },
    {
      title: "T5's table of relative positions, which a batch shares",
      on: ['encoder-decoder'],
      mixes: false,
    },
    {
      title: 'biases and layer norms',
      options: { norms: 'layer' },
      on: ['encoder'],
      withoutGradient,
    },
    { title: 'norms of any kind', options: { biases: false, norms: 'all' }, withoutGradient },
    {
      title: 'the last norm by its name',
      options: { biases: false, also: ['model.norm'] },
      on: ['decoder'],
    },
  ],
  {
    badOptions: [
      { options: { biases: false }, message: 'bitfit: there is nothing to train' },
      {
        options: { norms: 'rms' },
        message: 'bitfit: norms must be one of none, layer, all, own, got "rms".',
      },
      { options: { also: [''] }, message: 'bitfit: also must be a list of words' },
    ],
  },
);

describePeftMethod(lnTuning, [
  { title: 'by default' },
  { title: 'one norm a block', options: { targets: { roles: ['norm.ffn'] } } },
]);
