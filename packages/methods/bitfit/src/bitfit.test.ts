import { attachAdapter, describeModel } from '@peft/core';
import { bert, llama } from '@peft/models';
import { describe, expect, it } from 'vitest';
import { bitfit } from './bitfit.js';

const bertModel = describeModel(
  bert,
  bert.parseConfig({ model_type: 'bert', num_hidden_layers: 1 }),
);

describe('bitfit', () => {
  it('takes every parameter that is named a bias', () => {
    const adapter = attachAdapter('a', bitfit(), bertModel, undefined);
    expect([...adapter.parameters.keys()]).toEqual(
      bertModel.parameters.map(({ name }) => name).filter((name) => name.endsWith('.bias')),
    );
  });

  it('takes the scales of layer norms on request', () => {
    const adapter = attachAdapter('a', bitfit({ norms: 'layer' }), bertModel, undefined);
    expect(adapter.parameters.has('embeddings.LayerNorm.weight')).toBe(true);
    expect(adapter.parameters.has('encoder.layer.0.intermediate.dense.weight')).toBe(false);
  });

  it('says so on a model without biases', () => {
    const model = describeModel(
      llama,
      llama.parseConfig({ model_type: 'llama', num_hidden_layers: 1 }),
      { kind: 'causal-lm' },
    );
    expect(() => attachAdapter('a', bitfit(), model, undefined))
      .toThrowErrorMatchingInlineSnapshot(`
      [PeftError: bitfit: llama has no parameter site to attach to.
        hint: choose another method, or name targets; peft inspect MODEL --sites lists what the model has]
    `);
  });
});
