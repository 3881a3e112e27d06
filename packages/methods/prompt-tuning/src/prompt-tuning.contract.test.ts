import { describePeftMethod, onShapesInTurn, type MethodCase } from '@peft/testing';
import type { MethodName } from '@peft/core';
import { attentionPrefix } from './attention-prefix.js';
import { embeddedPrompt } from './embedded-prompt.js';
import { prefixTuning } from './prefix-tuning.js';
import { promptTuning } from './prompt-tuning.js';
import { pTuning } from './p-tuning.js';

/** The forms after the first on one shape each, by turns; on all with `PEFT_LONG_TESTS=1`. */
const isLong = process.env['PEFT_LONG_TESTS'] === '1';
const forms = <Name extends MethodName>([
  first,
  ...others
]: readonly MethodCase<Name>[]): MethodCase<Name>[] => [
  first!,
  ...(isLong ? others : onShapesInTurn(others)),
];

const PROMPT = { identityAtStart: false, merges: false, mixes: false } as const;

describePeftMethod(
  promptTuning,
  forms([
    { title: 'from random rows', options: { virtualTokens: 3 }, ...PROMPT },
    {
      title: 'from a text',
      options: { virtualTokens: 3, init: 'text', initText: 'good?', initTokenIds: [5, 2] },
      ...PROMPT,
    },
    { title: 'from the vocabulary', options: { virtualTokens: 2, init: 'vocabulary' }, ...PROMPT },
  ]),
  {
    badOptions: [
      {
        options: { virtualTokens: 0 },
        message: 'prompt-tuning: virtualTokens must be a positive integer, got 0.',
      },
      { options: { init: 'text' }, message: "prompt-tuning: init 'text' needs initTokenIds." },
      {
        options: { init: 'txt' },
        message: 'prompt-tuning: init must be one of random, text, vocabulary, got "txt".',
      },
      {
        options: { initTokenIds: [] },
        message: 'prompt-tuning: initTokenIds must be a list of at least one token id, got [].',
      },
    ],
  },
);

describePeftMethod(
  embeddedPrompt,
  forms([
    { title: 'from uniform rows', options: { promptLength: 3 }, on: ['encoder'], ...PROMPT },
    {
      title: 'from a text',
      options: { promptLength: 3, init: 'text', initText: 'good?', initTokenIds: [5, 2] },
      on: ['encoder'],
      ...PROMPT,
    },
  ]),
  {
    badOptions: [
      {
        options: { promptLength: 0 },
        message: 'embedded-prompt: promptLength must be a positive integer, got 0.',
      },
      { options: { init: 'text' }, message: "embedded-prompt: init 'text' needs initTokenIds." },
      {
        options: { init: 'random' },
        message: 'embedded-prompt: init must be one of uniform, text, got "random".',
      },
      {
        options: { initRange: -1 },
        message: 'embedded-prompt: initRange must be a number > 0, got -1.',
      },
    ],
  },
);

describePeftMethod(
  pTuning,
  forms([
    { title: 'with an MLP', options: { virtualTokens: 3, encoderHiddenSize: 5 }, ...PROMPT },
    {
      title: 'with an LSTM',
      options: { virtualTokens: 3, encoder: 'lstm', encoderHiddenSize: 4, encoderLayers: 2 },
      ...PROMPT,
    },
  ]),
  {
    badOptions: [
      {
        options: { encoder: 'gru' },
        message: 'p-tuning: encoder must be one of mlp, lstm, got "gru".',
      },
      {
        options: { encoderDropout: 1 },
        message: 'p-tuning: encoderDropout must be a number in [0, 1), got 1.',
      },
    ],
  },
);

describePeftMethod(
  prefixTuning,
  forms([
    { title: 'as it is', options: { virtualTokens: 3 }, ...PROMPT },
    {
      title: 'projected',
      options: { virtualTokens: 3, prefixProjection: true, encoderHiddenSize: 5 },
      ...PROMPT,
    },
    { title: 'from zero', options: { virtualTokens: 2, initWeights: 'zero' }, ...PROMPT },
  ]),
  {
    badOptions: [
      {
        options: { prefixProjection: 'yes' },
        message: 'prefix-tuning: prefixProjection must be true or false, got "yes".',
      },
    ],
  },
);

describePeftMethod(
  attentionPrefix,
  forms([
    { title: 'by default', options: { prefixLength: 3, bottleneckSize: 5 }, ...PROMPT },
    { title: 'flat', options: { prefixLength: 2, flat: true }, ...PROMPT },
    {
      title: 'with a gate',
      options: { prefixLength: 2, bottleneckSize: 4, useGating: true },
      ...PROMPT,
    },
    {
      title: 'with gates for keys and values',
      options: {
        prefixLength: 2,
        bottleneckSize: 4,
        useGating: true,
        sharedGating: false,
        leaveOut: [0],
      },
      ...PROMPT,
    },
    {
      title: 'in the decoder alone',
      options: { prefixLength: 2, bottleneckSize: 4, encoderPrefix: false, crossPrefix: false },
      ...PROMPT,
    },
  ]),
  {
    badOptions: [
      {
        options: { prefixLength: 1.5 },
        message: 'attention-prefix: prefixLength must be a positive integer, got 1.5.',
      },
      {
        options: { leaveOut: 'all' },
        message: 'attention-prefix: leaveOut must be a list of block numbers, got "all".',
      },
    ],
  },
);
