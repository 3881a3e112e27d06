import { describeModel, type HeadOptions } from '@peft/core';
import { methodNamed } from '@peft/methods';
import { distilbert, llama } from '@peft/models';
import { expect, it } from 'vitest';
import type { EventBody } from '../model/base-model.js';
import { trainedSpec } from './trained-spec.js';

const small = { vocab_size: 40, hidden_size: 8, intermediate_size: 16, num_hidden_layers: 1 };
const ofLlama = (head: HeadOptions) =>
  describeModel(
    llama,
    llama.parseConfig({ ...small, model_type: 'llama', num_attention_heads: 2 }),
    head,
  );
const ofDistilbert = (head: HeadOptions) =>
  describeModel(
    distilbert,
    distilbert.parseConfig({
      model_type: 'distilbert',
      vocab_size: 40,
      dim: 8,
      hidden_dim: 16,
      n_layers: 1,
      n_heads: 2,
    }),
    head,
  );
const classes: HeadOptions = { kind: 'pooled-linear', outputs: 2 };

function warned(description: ReturnType<typeof ofLlama>, ...call: Parameters<typeof methodNamed>) {
  const events: EventBody[] = [];
  const spec = trainedSpec(methodNamed(...call), description, (event) => events.push(event));
  const messages = events.flatMap((event) => ('message' in event ? [event.message] : []));
  return { messages, parts: spec.parts.map(({ method }) => method.name) };
}

it('keeps a method whose layers are there, and says nothing', () => {
  expect(warned(ofDistilbert(classes), 'lora', {}, { layers: 'autogluon' })).toEqual({
    messages: [],
    parts: ['lora'], // the head trains anyway, and there is no pooler for bitfit
  });
  // what is left of the method trains, and it is said what the model lacks
  expect(warned(ofLlama(classes), 'ia3_bias').messages).toEqual([
    'ia3_bias: this llama has no biases; the rest trains.',
  ]);
  expect(warned(ofLlama(classes), 'lora_bias', {}, { layers: 'autogluon' }).messages).toEqual([
    'lora_bias: this llama has no biases; the rest trains.',
  ]);
});

it('takes RMS norms where a family has no layer norms, unless it is to do as AutoGluon', () => {
  const { messages, parts } = warned(ofLlama({ kind: 'none' }), 'lora_norm');
  expect({ messages, parts }).toEqual({
    messages: ['lora_norm: this llama has no biases; the rest trains.'], // `_norm` asks for both
    parts: ['lora', 'bitfit'],
  });
  expect(() => warned(ofLlama({ kind: 'none' }), 'norm_fit', { familyTargets: false })).toThrow(
    'nothing of this llama would train',
  );
});

it('proposes no method that was given', () => {
  expect(() => warned(ofLlama({ kind: 'none' }), 'bit_fit')).toThrow('lora fits every family');
  const alone = () =>
    warned(
      ofDistilbert({ kind: 'none' }),
      'lora',
      { familyTargets: false },
      { layers: 'autogluon' },
    );
  expect(alone).toThrow('nothing of this distilbert would train');
  expect(alone).not.toThrow('lora fits');
});

it("leaves out what finds no layer, as AutoGluon's own filter on DistilBERT", () => {
  expect(warned(ofDistilbert(classes), 'lora_bias', { familyTargets: false })).toEqual({
    messages: [
      'lora found no layer to stand on in this distilbert: little more than the head trains.',
    ],
    parts: ['bitfit'],
  });
});

it('says that the head trains alone, or that nothing would train', () => {
  expect(warned(ofLlama(classes), 'bit_fit').messages).toEqual([
    'bit_fit: this llama has no biases; the rest trains.',
    expect.stringContaining('little more than the head trains') as string,
  ]);
  expect(() => warned(ofLlama({ kind: 'none' }), 'bit_fit')).toThrow(
    'bit_fit: nothing of this llama would train',
  );
});
