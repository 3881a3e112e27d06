/** Keys and values that adapters add at attention sites. */
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import type { Tensor1D, Tensor2D } from '@tensorflow/tfjs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  architectureFor,
  loadModel,
  type AttentionAttachment,
  type HeadOptions,
  type MethodSpec,
  type Model,
  type SiteOf,
} from '@peft/core';
import { openCheckpoint } from '@peft/hub';
import { architectures } from '@peft/models';
import { layerNorm, offsetsOf, type Engine } from '@peft/ops';
import { seededTensor, toBeAllclose } from '@peft/testing';
import { openEngine } from '../../../tools/golden/engines.js';
import { FIXTURES, readConfigJson } from './fixtures.js';

expect.extend({ toBeAllclose });

/** An adapter of nothing but what `extend` gives. */
const extending = (make: (site: SiteOf<'attention'>) => AttentionAttachment): MethodSpec =>
  ({
    name: 'extension',
    parts: [
      {
        method: {
          name: 'extension',
          parseConfig: () => ({}),
          defaultTargets: () => ({}),
          attach: { attention: make },
        },
        config: {},
        common: { modulesToSave: [] },
      },
    ],
  }) as unknown as MethodSpec;

let engine: Engine;
beforeAll(async () => {
  engine = await openEngine('portable');
});
afterAll(() => engine.dispose());

function withModel(folder: string, head: HeadOptions, body: (model: Model) => void): void {
  const json = readConfigJson(`models/${folder}`);
  const store = openCheckpoint(join(FIXTURES, 'models', folder));
  const model = loadModel(architectureFor(json['model_type'], architectures), json, store, engine, {
    head,
  });
  store.close();
  try {
    tf.tidy(() => body(model));
  } finally {
    model.dispose();
  }
}

const batch = { inputIds: Int32Array.of(5, 6, 7, 8, 9, 10), offsets: offsetsOf([4, 2]) };

describe('extra keys and values', () => {
  test.each([
    ['bert', 'none'],
    ['llama', 'causal-lm'],
  ] as const)('are the same given once or for each sequence (%s)', (folder, kind) => {
    withModel(folder, { kind }, (model) => {
      const rows = (site: SiteOf<'attention'>, seed: number) =>
        seededTensor<Tensor2D>(seed + site.index, [3, site.keyValueHeads * site.headSize]);
      const states = (perSequence: boolean) => {
        const once = (x: Tensor2D) => (perSequence ? (tf.concat([x, x], 0) as Tensor2D) : x);
        model.addAdapter(
          'extension',
          extending((site) => ({
            extend: () => ({ keys: once(rows(site, 1)), values: once(rows(site, 9)), perSequence }),
          })),
        );
        const { hidden } = model.forward(batch);
        model.deleteAdapter('extension');
        return hidden.dataSync();
      };
      expect(states(true)).toBeAllclose(states(false), { atol: 1e-5 });
      expect(states(true)).not.toBeAllclose(model.forward(batch).hidden.dataSync(), { atol: 1e-2 });
    });
  });

  test('that stand in for past tokens continue a text as if it had been read whole (GPT-2)', () => {
    withModel('gpt2', { kind: 'causal-lm' }, (model) => {
      const past = [11, 12, 13];
      const whole = model
        .forward({
          inputIds: Int32Array.from([
            ...past,
            ...batch.inputIds.slice(0, 4),
            ...past,
            ...batch.inputIds.slice(4),
          ]),
          offsets: offsetsOf([7, 5]),
        })
        .logits!.arraySync();
      const { hiddenStates } = model.forward(
        { inputIds: Int32Array.from(past), offsets: offsetsOf([3]) },
        { hiddenStates: true },
      );
      model.addAdapter(
        'extension',
        extending((site) => {
          const block = `transformer.h.${site.index}`;
          const read = (name: string) => model.readParameter(`${block}.${name}`);
          const normed = layerNorm(
            hiddenStates![site.index]!,
            read('ln_1.weight') as Tensor1D,
            read('ln_1.bias') as Tensor1D,
            1e-5,
          );
          const fused = tf.add(
            tf.matMul(normed, read('attn.c_attn.weight') as Tensor2D, false, true),
            read('attn.c_attn.bias'),
          );
          const [, keys, values] = tf.split(fused, 3, 1) as [Tensor2D, Tensor2D, Tensor2D];
          return { pastLength: past.length, extend: () => ({ keys, values }) };
        }),
      );
      const continued = model.forward(batch).logits!.arraySync();
      expect(continued.flat()).toBeAllclose([...whole.slice(3, 7), ...whole.slice(10)].flat(), {
        atol: 1e-5,
      });
    });
  });
});
