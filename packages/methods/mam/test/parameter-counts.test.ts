/**
 * Trainable parameters on bert-base. adapter-hub's documentation tables those of its methods,
 * PEFT's follow from shapes.
 */
import { readFileSync } from 'node:fs';
import {
  adapterPlus,
  compacter,
  compacterPlusPlus,
  houlsby,
  invertibleAdapter,
  parallelAdapter,
  pfeiffer,
  scaledParallelAdapter,
} from '@peft/adapter';
import { adapterCounts, attachAdapter, describeModel, type MethodSpec } from '@peft/core';
import { bert } from '@peft/models';
import { attentionPrefix, prefixTuning, promptTuning, pTuning } from '@peft/prompt-tuning';
import { loReft } from '@peft/reft';
import { expect, test } from 'vitest';
import { mam, unipelt } from '../src/index.js';

const description = describeModel(
  bert,
  bert.parseConfig({
    model_type: 'bert',
    vocab_size: 30522,
    hidden_size: 768,
    num_hidden_layers: 12,
    num_attention_heads: 12,
    intermediate_size: 3072,
  }),
);
const D = 768;
const L = 12;

const TABLED: readonly (readonly [
  name: string,
  folder: string,
  make: () => MethodSpec,
  count: number,
])[] = [
  ['pfeiffer', 'adapter', pfeiffer, 894_528],
  ['houlsby', 'adapter', houlsby, 1_789_056],
  ['parallel', 'adapter', parallelAdapter, 7_091_712],
  ['scaled parallel', 'adapter', scaledParallelAdapter, 7_091_712 + L],
  ['compacter', 'adapter', compacter, 57_088],
  ['compacter++', 'adapter', compacterPlusPlus, 28_576],
  ['invertible', 'adapter', invertibleAdapter, 1_190_592],
  ['AdapterPlus', 'adapter', adapterPlus, L * (8 * D + 8 + 8 * D + D + D)],
  ['prompt tuning', 'prompt-tuning', () => promptTuning(), 20 * D],
  ['P-tuning', 'prompt-tuning', () => pTuning(), 20 * D + 3 * (D * D + D)],
  ['prefix tuning', 'prompt-tuning', () => prefixTuning(), 20 * 2 * L * D],
  [
    'prefix tuning with projection',
    'prompt-tuning',
    () => prefixTuning({ prefixProjection: true }),
    20 * D + D * D + D + 2 * L * D * (D + 1),
  ],
  ['attention prefix', 'prompt-tuning', () => attentionPrefix(), 9_872_384],
  ['flat attention prefix', 'prompt-tuning', () => attentionPrefix({ flat: true }), 30 * 2 * L * D],
  ['MAM', 'mam', mam, 22_493_984],
  ['UniPELT', 'mam', unipelt, 11_083_376],
  ['LoReFT', 'reft', loReft, L * 2 * (2 * D + 1)],
];

test.each(TABLED)('%s', (_name, folder, make, count) => {
  expect(
    adapterCounts(description, [attachAdapter('a', make(), description, undefined)]).trainable,
  ).toBe(count);
  expect(readFileSync(new URL(`../../${folder}/README.md`, import.meta.url), 'utf8')).toContain(
    count.toLocaleString('en-US'),
  );
});
