import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import {
  combineMethods,
  loadAdapter,
  type LinearAttachment,
  type MethodSpec,
  type Model,
} from '@peft/core';
import { bitfit } from '@peft/bitfit';
import type { Engine } from '@peft/ops';
import {
  moveParameters,
  tinyModels,
  useModel,
  usePortableEngine,
  useTemporaryFolder,
} from '@peft/testing';
import { describe, expect, it } from 'vitest';
import { lora } from '../lora.js';
import { savePlainLora, toPlainLora } from './plain-lora.js';

const encoder = tinyModels()[0]!;

describe('an adapter that took its start out of the base weights, as ordinary LoRA', () => {
  let engine: Engine;
  let model: Model;
  let folder: string;
  usePortableEngine((active) => (engine = active));
  useTemporaryFolder((path) => (folder = path));
  useModel(
    () => encoder.open(engine),
    (made) => (model = made),
  );

  const logits = (of: Model = model) =>
    tf.tidy(() => of.forward(encoder.batch).logits!.dataSync<'float32'>().slice());
  const add = (spec: MethodSpec) => moveParameters(model.addAdapter('a', spec), 'a', 0.1);

  it.each<{ title: string; spec: () => MethodSpec }>([
    { title: 'PiSSA', spec: () => lora({ rank: 2, alpha: 3, init: 'pissa' }) },
    {
      title: 'PiSSA by subspace iteration',
      spec: () => lora({ rank: 2, alpha: 3, init: 'pissa_niter_4' }),
    },
    { title: 'OLoRA', spec: () => lora({ rank: 3, init: 'olora', targets: 'all-linear' }) },
    {
      title: 'rank-stabilised PiSSA with patterns',
      spec: () =>
        lora({
          rank: 3,
          alpha: 5,
          rankStabilized: true,
          init: 'pissa',
          rankPattern: { value: 2 },
          alphaPattern: { query: 4 },
        }),
    },
    {
      title: 'PiSSA with DoRA, biases and a module saved whole',
      spec: () =>
        lora({ rank: 2, dora: true, init: 'pissa', bias: 'lora_only', modulesToSave: ['pooler'] }),
    },
    {
      title: 'PiSSA beside an embedding',
      spec: () => lora({ rank: 2, init: 'pissa', targets: ['query', 'word_embeddings'] }),
    },
    {
      title: 'PiSSA with all biases',
      spec: () => combineMethods('lora_bias', lora({ rank: 2, init: 'pissa' }), bitfit()),
    },
  ])('$title computes the same, saved and loaded on an untouched base', async ({ title, spec }) => {
    add(spec());
    const active = logits();
    const place = join(folder, title.replaceAll(' ', '-'));
    await savePlainLora(model, 'a', place);
    expect(model.adapterNames).toEqual(['a']);
    expect(logits()).toEqual(active);
    const other = encoder.open(engine);
    const { adapter } = await loadAdapter(other, place, { methods: [lora] });
    expect(adapter.replaced.size).toBe(0);
    expect(logits(other)).toBeAllclose(active, { atol: 2e-5, rtol: 2e-5 });
    other.mergeAdapters();
    expect(logits(other)).toBeAllclose(active, { atol: 1e-4, rtol: 1e-4 });
    other.dispose();
  });

  it("has twice the rank at the same strength, and s·B'·A' is what training changed", async () => {
    add(lora({ rank: 2, alpha: 6, init: 'pissa', targets: ['query'] }));
    const adapter = model.adapter('a');
    const { site, attachment: before } = [...adapter.attachments.values()].flat()[0]! as {
      site: { path: string; weight: string };
      attachment: LinearAttachment;
    };
    const residual = adapter.replaced.get(site.weight)!;
    const expected = tf.tidy(() => {
      const whole = before.merge!({
        weight: residual.engine.dequantize(residual) as Tensor2D,
      }).weight;
      return tf.sub(whole, model.readBaseParameter(site.weight)).dataSync<'float32'>().slice();
    });
    const plain = toPlainLora(model, 'a', 'plain');
    const made = [...plain.attachments.values()].flat()[0]!.attachment as LinearAttachment;
    const [rows, columns] = residual.shape as [number, number];
    expect(
      tf.tidy(() =>
        made.merge!({ weight: tf.zeros([rows, columns]) })
          .weight.dataSync<'float32'>()
          .slice(),
      ),
    ).toBeAllclose(expected, { atol: 1e-5 });
    await savePlainLora(model, 'a', join(folder, 'config'));
    expect(
      JSON.parse(readFileSync(join(folder, 'config', 'adapter_config.json'), 'utf8')),
    ).toMatchObject({ r: 4, lora_alpha: 12, init_lora_weights: true });
  });

  it('keeps what a file brought along as it is there: a table frozen, a bias trained', () => {
    const [table, bias] = ['bert.embeddings.word_embeddings.weight', 'classifier.bias'] as const;
    const brought = { alsoReplace: [table], alsoUnfreeze: [bias] };
    model.addAdapter('a', lora({ rank: 2, init: 'pissa', modulesToSave: [] }), brought);
    const { parameters } = toPlainLora(model, 'a', 'plain');
    expect([table, bias].map((name) => parameters.get(name)!.trainable)).toEqual([false, true]);
  });

  it('is refused for LoRA that is ordinary already, and for LoftQ', () => {
    add(lora({ rank: 2 }));
    expect(() => toPlainLora(model, 'a', 'b')).toThrow(
      expect.objectContaining({ code: 'PEFT_LORA_PLAIN' }),
    );
    model.deleteAdapter('a');
    add(lora({ rank: 2, init: 'loftq' }));
    expect(() => toPlainLora(model, 'a', 'b')).toThrow(
      'did not take its start values out of the base weights (init "loftq")',
    );
    expect(model.adapterNames).toEqual(['a']);
  });

  it('is not written untrained', async () => {
    model.addAdapter('a', lora({ rank: 2, init: 'pissa' }));
    await expect(savePlainLora(model, 'a', join(folder, 'untrained'))).rejects.toMatchObject({
      code: 'PEFT_ADAPTER_UNTRAINED',
    });
    expect(model.adapterNames).toEqual(['a']);
  });
});
