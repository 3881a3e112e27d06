/** The last block made for the rows alone that a head reads, beside the whole block. */
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import type { Scalar } from '@tensorflow/tfjs';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import {
  architectureFor,
  loadModel,
  type HeadOptions,
  type MethodSpec,
  type Model,
  type RunOptions,
} from '@peft/core';
import { bitfit } from '@peft/bitfit';
import { houlsby } from '@peft/adapter';
import { ia3 } from '@peft/ia3';
import { lora } from '@peft/lora';
import { prefixTuning } from '@peft/prompt-tuning';
import { openCheckpoint } from '@peft/hub';
import { architectures } from '@peft/models';
import { createNativeEngine } from '@peft/native';
import { crossEntropy, offsetsOf, variableGradients, type Engine } from '@peft/ops';
import { moveParameters, toBeAllclose } from '@peft/testing';
import { FIXTURES, readConfigJson } from './fixtures.js';

expect.extend({ toBeAllclose });

const CLASSES: HeadOptions = { kind: 'sequence-classification', outputs: 2 };
const THREE: HeadOptions = { kind: 'sequence-classification', outputs: 3 };
const POOLED: HeadOptions = { kind: 'pooled-linear', outputs: 2 };
const lengths = [4, 2, 7];
const offsets = offsetsOf(lengths);
const batch = { inputIds: Int32Array.from({ length: 13 }, (_, n) => 5 + (n % 9)), offsets };
const labels = Int32Array.of(1, 0, 1);

describe.each(['float32', 'bfloat16'] as const)(
  'in %s, rows that a head does not read',
  (precision) => {
    let engine: Engine;
    let model: Model | undefined;
    beforeAll(async () => {
      engine = createNativeEngine({ precision });
      await engine.activate();
    });
    afterEach(() => model?.dispose());
    afterAll(() => engine.dispose());

    function open(folder: string, head: HeadOptions, method?: MethodSpec): Model {
      const json = readConfigJson(`models/${folder}`);
      const store = openCheckpoint(join(FIXTURES, 'models', folder));
      const architecture = architectureFor(json['model_type'], architectures);
      model = loadModel(architecture, json, store, engine, { head });
      store.close();
      if (method) moveParameters(model.addAdapter('a', method), 1, 0.1);
      return model;
    }

    /** Logits, rows of the last state, and gradients, with all rows made or those of the head. */
    function step(of: Model, options: RunOptions) {
      return tf.tidy(() => {
        const trained = of.trainables();
        let logits: Float32Array | undefined;
        let rows = 0;
        const { gradients } = variableGradients(
          () => {
            const output = of.forward(batch, options);
            logits = output.logits!.dataSync() as Float32Array;
            rows = output.hidden.shape[0];
            expect(output.offsets.at(-1)).toBe(rows);
            return crossEntropy(output.logits!, labels).mean() as Scalar;
          },
          trained.map(({ value }) => value),
        );
        return {
          logits,
          rows,
          gradients: trained.map(
            ({ name, value }) => [name, gradients[value.name]?.dataSync()] as const,
          ),
        };
      });
    }

    test.each([
      ['bert', THREE, lora({ rank: 2, targets: 'all-linear' })],
      ['bert', POOLED, ia3({})],
      ['xlm-roberta', CLASSES, bitfit({})],
      ['xlm-roberta-xl', CLASSES, lora({ rank: 2, targets: 'all-linear' })],
      ['electra', POOLED, lora({ rank: 2, targets: 'all-linear' })],
    ] as const)('change no bit of its logits (%s, %o)', (folder, head, method) => {
      const of = open(folder, head, method);
      for (const checkpointing of [false, true]) {
        const whole = step(of, { checkpointing });
        const kept = step(of, { checkpointing, headRowsOnly: true });
        expect([whole.rows, kept.rows]).toEqual([13, 3]);
        expect(kept.logits).toEqual(whole.logits);
        for (const [i, [name, values]] of kept.gradients.entries()) {
          expect(name).toBe(whole.gradients[i]![0]);
          if (values)
            expect(values).toBeAllclose(whole.gradients[i]![1]!, { rtol: 1e-4, atol: 1e-6 });
        }
      }
    });

    test.each([
      ['bert', THREE, prefixTuning({ virtualTokens: 2 })],
      ['bert', THREE, houlsby({})],
      ['bert', { ...POOLED, pooling: 'mean' }, undefined],
      ['bert', { kind: 'token-classification', outputs: 3 }, undefined],
    ] as const)('are made where something else reads them (%s, %o)', (folder, head, method) => {
      const of = open(folder, head as HeadOptions, method);
      const rows = tf.tidy(() => of.forward(batch, { headRowsOnly: true }).hidden.shape[0]);
      expect(rows).toBe(13);
    });
  },
);
