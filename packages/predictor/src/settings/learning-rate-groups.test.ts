import { readFileSync } from 'node:fs';
import { architectureFor, attachAdapter, describeModel } from '@peft/core';
import { architectures, bert } from '@peft/models';
import { describe, expect, it } from 'vitest';
import { autogluonMethod, type AutogluonMethod } from '@peft/methods';
import { resolveHyperparameters } from './hyperparameters.js';
import { learningRateGroups } from './learning-rate-groups.js';

function groupsOn(model: string, method: AutogluonMethod, settings: object = {}) {
  const config = JSON.parse(
    readFileSync(
      new URL(`../../../testing/fixtures/autogluon/configs/${model}/config.json`, import.meta.url),
      'utf8',
    ),
  ) as Record<string, unknown>;
  const architecture = architectureFor(config['model_type'], architectures);
  const description = describeModel(architecture, architecture.parseConfig(config), {
    kind: 'pooled-linear',
    outputs: 2,
  });
  const { parameters } = attachAdapter('a', autogluonMethod(method), description, undefined);
  const groups = learningRateGroups(
    description,
    [...parameters.values()],
    resolveHyperparameters(settings),
  );
  return { problem: groups.problem, of: (name: string) => groups.group(parameters.get(name)!) };
}

/** lr_decay^id, as repeated products have it. */
const scale = (id: number): number =>
  Array.from({ length: id }).reduce<number>((product) => product * 0.9, 1);

describe('groups of learning rates', () => {
  it('fall by 0.9 with the distance from the head of mDeBERTa: blocks 1 to 12, embeddings 13', () => {
    const { of, problem } = groupsOn('mdeberta-v3-base', 'ia3_norm');
    expect(problem).toBeUndefined();
    const cases: readonly [string, number, number][] = [
      ['head.weight', 0, 1e-3],
      ['head.bias', 0, 0],
      ['encoder.layer.11.attention.self.query_proj.ia3_l', 1, 1e-3], // an IA3 vector decays
      ['encoder.layer.11.attention.self.query_proj.bias', 1, 0],
      ['encoder.layer.0.attention.self.value_proj.ia3_l', 12, 1e-3],
      ['encoder.layer.0.output.LayerNorm.weight', 12, 0],
      ['embeddings.LayerNorm.bias', 13, 0],
      ['encoder.LayerNorm.weight', 13, 0],
    ];
    for (const [name, id, weightDecay] of cases) {
      expect(of(name).learningRateScale, name).toBeCloseTo(scale(id), 14);
      expect(of(name).weightDecay, name).toBe(weightDecay);
    }
  });

  it("count BERT's pooler to the head, and give LoRA its module's rate", () => {
    const { of } = groupsOn('bert-base-uncased', 'lora');
    expect(of('pooler.dense.weight')).toEqual({ learningRateScale: 1, weightDecay: 1e-3 });
    expect(of('encoder.layer.3.attention.self.value.lora_B.weight').learningRateScale).toBeCloseTo(
      scale(9),
      14,
    );
  });

  it("multiply the rate of LoRA's B (LoRA+), and refuse to where there is none", () => {
    const { of } = groupsOn('bert-base-uncased', 'lora', { 'optim.lora_plus_ratio': 16 });
    const site = 'encoder.layer.11.attention.self.value';
    expect(of(`${site}.lora_B.weight`).learningRateScale).toBeCloseTo(16 * scale(1), 12);
    expect(of(`${site}.lora_A.weight`).learningRateScale).toBeCloseTo(scale(1), 14);
    expect(() => groupsOn('mdeberta-v3-base', 'ia3', { 'optim.lora_plus_ratio': 16 })).toThrow(
      "optim.lora_plus_ratio is 16, and nothing that trains is LoRA's",
    );
  });

  it('say that names are not understood only where a layer would change a rate', () => {
    const problemOf = (settings: object) =>
      learningRateGroups(
        {
          ...describeModel(bert, bert.parseConfig({}), { kind: 'none' }),
          parameters: [{ name: 'model.embed_tokens.weight', shape: [2, 2] }],
        } as never, // names of a decoder, which AutoGluon's patterns do not know
        [],
        resolveHyperparameters(settings),
      ).problem;
    expect(problemOf({})).toContain('embed_tokens');
    expect(problemOf({ 'optim.lr_choice': 'single_stage' })).toBeUndefined();
    expect(problemOf({ 'optim.lr_decay': 1 })).toBeUndefined();
  });

  it("may be one rate, or two stages that multiply the head's", () => {
    const single = groupsOn('mdeberta-v3-base', 'ia3', { 'optim.lr_choice': 'single_stage' });
    expect(single.of('encoder.layer.0.attention.self.value_proj.ia3_l').learningRateScale).toBe(1);
    const two = groupsOn('mdeberta-v3-base', 'ia3', {
      'optim.lr_choice': 'two_stages',
      'optim.lr_mult': 5,
    });
    expect(two.of('head.weight').learningRateScale).toBe(5);
    expect(two.of('encoder.layer.0.attention.self.value_proj.ia3_l').learningRateScale).toBe(1);
  });
});
