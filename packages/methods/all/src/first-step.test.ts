/**
 * A method that a family's model lets attach trains there: what cannot is refused while it attaches,
 * by name, and not by the first step. Methods that look at whole sequences on a family of each shape;
 * with PEFT_LONG_TESTS every method on every family of the fixtures.
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as tf from '@tensorflow/tfjs';
import {
  architectureFor,
  describeModel,
  loadModel,
  randomWeights,
  type AnyMethod,
  type HeadOptions,
  type MethodSpec,
  type Model,
  type ModelBatch,
} from '@peft/core';
import { PeftError } from '@peft/errors';
import { readModelConfig } from '@peft/hub';
import { architectures } from '@peft/models';
import { variableGradients, type Engine } from '@peft/ops';
import { usePortableEngine } from '@peft/testing';
import { describe, expect, test } from 'vitest';
import { allMethods } from './all-methods.js';

const MODELS = fileURLToPath(new URL('../../../testing/fixtures/models', import.meta.url));
const isLong = Boolean(process.env['PEFT_LONG_TESTS']);
const SHAPES = [
  'bert',
  'deberta-v2',
  'deberta-v2-plain',
  'mpnet',
  'gpt2',
  'llama',
  't5',
  'qwen3_moe',
];
const families = isLong
  ? readdirSync(MODELS, { withFileTypes: true }).flatMap((entry) =>
      entry.isDirectory() ? [entry.name] : [],
    )
  : SHAPES;

/** Small enough for the fixtures, and what makes a method look at sequences. */
const OPTIONS: Readonly<Record<string, readonly object[]>> = {
  lora: [{ rank: 2 }, { rank: 2, invocationTokens: [3] }, { rank: 2, gating: true }],
  poly: [{ rank: 2 }, { rank: 2, tasks: 2 }, { rank: 2, tasks: 2, targets: 'all-linear' }],
  adalora: [{ initialRank: 3, targetRank: 2, totalSteps: 10 }],
  'prefix-tuning': [{ virtualTokens: 2 }],
  'prompt-tuning': [{ virtualTokens: 2 }],
  'multitask-prompt-tuning': [{ virtualTokens: 2, tasks: 2 }],
  adamss: [{ rank: 4, subspaces: 2 }],
  'p-tuning': [{ virtualTokens: 2 }],
  cartridge: [{ virtualTokens: 3 }],
  cpt: [{ tokenIds: [3, 4] }],
  vblora: [{ rank: 2, vectors: 5, vectorLength: 4 }],
  oft: [{ blockSize: 4 }],
  psoft: [{ rank: 2 }],
  miss: [{ rank: 2 }],
  fourierft: [{ frequencies: 12 }],
  waveft: [{ frequencies: 12 }],
  c3a: [{ blockSize: 4 }],
  road: [{ groupSize: 4 }],
  shira: [{ rank: 2 }],
  supertuning: [{ sparsity: 0.8 }],
  xlora: [{ adapters: [{ rank: 2 }, { rank: 3 }], trainableAdapters: true }],
};
const LOOKING = [
  'lora',
  'poly',
  'multitask-prompt-tuning',
  'lily',
  'reft',
  'adapter',
  'ladder',
  'controlnet',
  'shadow',
];
/** It needs two other adapters. */
const WITHOUT = ['adapter-fusion'];

const cases = allMethods
  .filter(({ name }) => !WITHOUT.includes(name) && (isLong || LOOKING.includes(name)))
  .flatMap((method) =>
    (OPTIONS[method.name] ?? [{ ...method.exampleOptions }]).map(
      (options) => [method as AnyMethod, options] as const,
    ),
  );

const headOf = (heads: readonly HeadOptions['kind'][]): HeadOptions => {
  if (heads.includes('seq2seq-lm')) return { kind: 'seq2seq-lm' };
  if (heads.includes('causal-lm')) return { kind: 'causal-lm' };
  return { kind: 'pooled-linear', outputs: 2, pooling: 'first' };
};

function openRandom(family: string, engine: Engine): Model {
  const json = readModelConfig(join(MODELS, family));
  const architecture = architectureFor(json['model_type'], architectures);
  const head = headOf(architecture.heads);
  const description = describeModel(architecture, architecture.parseConfig(json), head);
  return loadModel(architecture, json, randomWeights(description), engine, { head });
}

const TOKENS = {
  inputIds: Int32Array.of(5, 6, 3, 7, 8),
  offsets: Int32Array.of(0, 3, 5),
} as const;

const batchOf = ({ description: { head } }: Model): ModelBatch => ({
  ...TOKENS,
  taskIds: Int32Array.of(1, 0),
  ...(head.kind === 'seq2seq-lm' && { decoder: TOKENS }),
});

let engine: Engine;
usePortableEngine((made) => (engine = made));

describe.each(families)('%s', (family) => {
  test('takes a step with each method that attaches', () => {
    const model = openRandom(family, engine);
    const batch = batchOf(model);
    try {
      for (const [method, options] of cases) {
        try {
          const spec = (method as unknown as (given: object) => MethodSpec)(options);
          model.addAdapter('a', spec);
        } catch (error) {
          expect(error, `${method.name} is refused by name`).toBeInstanceOf(PeftError);
          continue;
        }
        const step = (): void =>
          tf.tidy(() => {
            const run = { training: true, randomParts: [1] };
            variableGradients(
              () => {
                const { logits, hidden } = model.forward(batch, run);
                return tf.sum(logits ?? hidden);
              },
              model.trainables().map(({ value }) => value),
            );
          });
        expect(step, `${method.name} ${JSON.stringify(options)}`).not.toThrow();
        model.deleteAdapter('a');
      }
    } finally {
      model.dispose();
    }
  });
});

test.each([
  ['poly', 'deberta-v2', 'query_proj', 'relative positions'],
  ['poly', 'qwen3_moe', 'gate_up_proj', 'a router sends it'],
])('%s on %s is refused at %s before anything is loaded', (name, family, target, words) => {
  const model = openRandom(family, engine);
  const method = allMethods.find((each) => each.name === name) as unknown as (
    options: object,
  ) => MethodSpec;
  try {
    expect(() => model.addAdapter('a', method({ targets: `.*${target}`, rank: 2 }))).toThrow(words);
  } finally {
    model.dispose();
  }
});
