/** Every method that can be merged becomes LoRA, and the others are refused by name. */
import * as tf from '@tensorflow/tfjs';
import type { Model } from '@peft/core';
import type { PeftError } from '@peft/errors';
import { nearestLora } from '@peft/lora';
import type { Engine } from '@peft/ops';
import { moveParameters, tinyModels, usePortableEngine, type TinyModel } from '@peft/testing';
import { expect, test } from 'vitest';
import { TINY_OPTIONS } from '../test/tiny-options.js';
import { methodNamed, methodNames } from './method-named.js';

let engine: Engine;
usePortableEngine((made) => (engine = made));

/** Methods that compute something else than a layer's own sum and product. */
const APART = new RegExp(
  [
    ...['adapter', 'houlsby', 'pfeiffer', 'parallel', 'compacter', 'invertible', 'mam', 'unipelt'],
    ...['prefix', 'prompt', 'p-tuning', 'cartridge', 'cpt', 'reft'],
    ...['lily', 'poly', 'xlora'],
    ...['ladder', 'controlnet', 'shadow'],
  ].join('|'),
);
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
    moveParameters(model.addAdapter('a', methodNamed(name, TINY_OPTIONS[name])), 'a', 0.1);
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
  if (APART.test(name) || VECTORS.includes(name)) return expect(differences).toEqual([]);
  expect(differences.length, refusals.join()).toBeGreaterThan(0);
  expect(Math.max(...differences)).toBeLessThan(5e-5);
});
