import { attachAdapter, describeModel, type OwnedParameter } from '@peft/core';
import { bitfit } from '@peft/bitfit';
import { lora } from '@peft/lora';
import { bert } from '@peft/models';
import { combineMethods } from '@peft/core';
import { describe, expect, it } from 'vitest';
import { adapterLayerIds, layerwiseDecay, singleRate, twoStages } from './adapter-groups.js';

/**
 * Hugging Face's own classifier on a BERT of three blocks; AutoGluon's head is checked against its
 * tables in test/autogluon.test.ts.
 */
const config = {
  model_type: 'bert',
  vocab_size: 10,
  hidden_size: 4,
  num_hidden_layers: 3,
  num_attention_heads: 2,
  intermediate_size: 4,
};
const description = describeModel(bert, bert.parseConfig(config), {
  kind: 'sequence-classification',
  outputs: 2,
});
const adapter = attachAdapter(
  'default',
  combineMethods('lora_norm', lora({ rank: 2 }), bitfit({ norms: 'layer' })),
  description,
  undefined,
);
const parameter = (end: string): OwnedParameter =>
  [...adapter.parameters.values()].find(({ name }) => name.endsWith(end))!;

describe('layer ids of an adapter', () => {
  it('count from the head down, also under the class prefix', () => {
    const { ids, problem } = adapterLayerIds(description);
    expect(problem).toBeUndefined();
    expect(
      [
        'classifier.weight',
        'bert.pooler.dense.weight',
        'bert.encoder.layer.2.output.dense.weight',
        'bert.encoder.layer.0.output.dense.weight',
        'bert.embeddings.LayerNorm.weight',
      ].map((name) => ids.get(name)),
    ).toEqual([0, 0, 1, 3, 4]);
  });
});

describe('groups of an adapter', () => {
  it('give a new parameter the rate of the layer that it is on', () => {
    const { group } = layerwiseDecay(description, { weightDecay: 0.01, layerDecay: 0.5 });
    expect(group(parameter('layer.1.attention.self.query.lora_A.weight'))).toEqual({
      learningRateScale: 0.25,
      weightDecay: 0.01,
    });
    expect(group(parameter('layer.0.attention.self.query.bias'))).toEqual({
      learningRateScale: 0.125,
      weightDecay: 0,
    });
    expect(group(parameter('layer.2.output.LayerNorm.weight'))).toEqual({
      learningRateScale: 0.5,
      weightDecay: 0,
    });
    expect(group(parameter('classifier.weight'))).toEqual({
      learningRateScale: 1,
      weightDecay: 0.01,
    });
  });

  it('may have one rate, or one for the head', () => {
    expect(
      singleRate(description, { weightDecay: 0.01 }).group(
        parameter('layer.0.attention.self.query.bias'),
      ),
    ).toEqual({ learningRateScale: 1, weightDecay: 0 });
    const { group } = twoStages(description, { weightDecay: 0.01, headMultiplier: 10 });
    expect(group(parameter('classifier.weight')).learningRateScale).toBe(10);
    expect(group(parameter('query.lora_A.weight')).learningRateScale).toBe(1);
  });
});
