/** aLoRA leaves what stands in front of its invocation as the base has it. */
import * as tf from '@tensorflow/tfjs';
import type { Engine } from '@peft/ops';
import { moveParameters, tinyModels, usePortableEngine } from '@peft/testing';
import { expect, test } from 'vitest';
import { lora } from '../lora.js';

let engine: Engine;
usePortableEngine((made) => (engine = made));

test('acts from the last invocation of a sequence on, and nowhere else', () => {
  const decoder = tinyModels()[2]!;
  // sequences of 3, 1 and 5 tokens
  const inputIds = Int32Array.of(6, 13, 2, 9, 13, 2, 5, 13, 2);
  const { offsets } = decoder.batch;
  const model = decoder.open(engine);
  const rows = (): number[][] =>
    tf.tidy(() => model.forward({ inputIds, offsets }).logits!.arraySync() as number[][]);
  const base = rows();
  const targets = ['q_proj', 'v_proj', 'down_proj'];
  moveParameters(
    model.addAdapter('a', lora({ rank: 2, targets, invocationTokens: [13, 2] })),
    1,
    1,
  );
  const changed = rows().map((row, n) => row.some((value, v) => value !== base[n]![v]!));
  expect(changed).toEqual([false, true, true, false, false, false, false, true, true]);
  expect(() => model.mergeAdapters()).toThrow(
    expect.objectContaining({ code: 'PEFT_MERGE_INEXACT' }),
  );
  model.dispose();
});
