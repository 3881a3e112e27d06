/** Every method that can be merged becomes LoRA, and the others are refused by name. */
import * as tf from '@tensorflow/tfjs';
import type { Model } from '@peft/core';
import type { PeftError } from '@peft/errors';
import { nearestLora } from '@peft/lora';
import type { Engine } from '@peft/ops';
import { moveParameters, tinyModels, usePortableEngine, type TinyModel } from '@peft/testing';
import { expect, test } from 'vitest';
import { methodNamed, methodNames } from './method-named.js';

let engine: Engine;
usePortableEngine((made) => (engine = made));

/** Options without which a method does not fit models of 12 features and 16 positions. */
const OPTIONS: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  adalora: { totalSteps: 10 },
  vblora: { vectors: 300, vectorLength: 3 },
  adamss: { rank: 4, subspaces: 2 },
  miss: { rank: 6 },
  fourierft: { frequencies: 20 },
  waveft: { frequencies: 20 },
  c3a: { blockSize: 3 },
  road: { groupSize: 6 },
  psoft: { rank: 4 },
  shira: { rank: 2 },
  supertuning: { sparsity: 0.9 },
  'trainable-tokens': { tokenIndices: [6, 8, 13, 15] },
};

/** Methods that compute something else than a layer's own sum and product. */
const APART =
  /adapter|prefix|prompt|p-tuning|cartridge|cpt|lily|poly|reft|ladder|controlnet|shadow|houlsby|pfeiffer|parallel|compacter|invertible|mam|unipelt/;
/** What leaves every matrix as it is, or has no bias to be merged into. */
const VECTORS = ['beft', 'ln-tuning'];
const REFUSALS = [
  'PEFT_MERGE_INEXACT',
  'PEFT_LORA_NEAREST',
  'PEFT_METHOD_UNSUPPORTED', // the shape has no site for it
  'PEFT_CONFIG_INVALID', // too small for it
];

const resultsOf = (model: Model, { batch }: TinyModel): Float32Array =>
  tf.tidy(() => model.forward(batch).logits!.dataSync<'float32'>().slice());

/** The largest difference of a result between the method and LoRA of full rank. */
function differenceOn(tiny: TinyModel, name: string): number {
  const model = tiny.open(engine);
  try {
    moveParameters(model.addAdapter('a', methodNamed(name, OPTIONS[name])), 'a', 0.1);
    model.checkMergeable();
    const before = resultsOf(model, tiny);
    const { keptShare } = nearestLora(model, 'b', { rank: 64 });
    expect(keptShare).toBeCloseTo(1, 12);
    const after = resultsOf(model, tiny);
    return Math.max(...before.map((value, i) => Math.abs(value - after[i]!)));
  } finally {
    model.dispose();
  }
}

test.each(methodNames())('%s', (name) => {
  const refusals: string[] = [];
  const differences = tinyModels().flatMap((tiny) => {
    try {
      return [differenceOn(tiny, name)];
    } catch (error) {
      refusals.push((error as PeftError).code);
      return [];
    }
  });
  expect(REFUSALS).toEqual(expect.arrayContaining(refusals));
  if (APART.test(name) || VECTORS.includes(name)) expect(differences).toEqual([]);
  else expect(Math.max(...differences)).toBeLessThan(5e-5);
});
