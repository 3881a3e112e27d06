/**
 * The method contract on the native engine, for one method of each kind of site: attention, branch,
 * gated matrix, sequence.
 */
import { adapter } from '@peft/adapter';
import type { AnyMethod } from '@peft/core';
import { lora } from '@peft/lora';
import { createNativeEngine } from '@peft/native';
import { attentionPrefix, prefixTuning, pTuning } from '@peft/prompt-tuning';
import { reft } from '@peft/reft';
import { describePeftMethod } from '@peft/testing';
import { unipelt } from '../src/index.js';

const createEngine = () => createNativeEngine({ precision: 'float32' });
const kept = { identityAtStart: false, merges: false, mixes: false } as const;

describePeftMethod(lora, [{ title: 'UniPELT', ...kept }], {
  createEngine,
  methods: [attentionPrefix, adapter] as unknown as readonly AnyMethod[],
  spec: () =>
    unipelt({
      prefix: { prefixLength: 2, bottleneckSize: 4 },
      adapter: { reductionFactor: 3 },
      lora: { rank: 2 },
    }),
});
describePeftMethod(
  pTuning,
  [
    {
      title: 'with an LSTM',
      options: { virtualTokens: 2, encoder: 'lstm', encoderHiddenSize: 4 },
      ...kept,
    },
  ],
  { createEngine },
);
describePeftMethod(
  prefixTuning,
  [
    {
      title: 'projected',
      options: { virtualTokens: 3, prefixProjection: true, encoderHiddenSize: 5 },
      ...kept,
    },
  ],
  { createEngine },
);
describePeftMethod(
  reft,
  [
    {
      title: 'NoReFT',
      options: { rank: 2, orthogonality: false, suffixPositions: 1, dropout: 0 },
      ...kept,
    },
  ],
  { createEngine },
);
