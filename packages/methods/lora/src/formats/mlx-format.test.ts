import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { loadAdapter, saveAdapter, type AnyMethod, type Model } from '@peft/core';
import { openSafetensors, readFloat32, writeSafetensors } from '@peft/hub';
import type { Engine } from '@peft/ops';
import {
  seededValues,
  tinyModels,
  useModel,
  usePortableEngine,
  useTemporaryFolder,
} from '@peft/testing';
import { describe, expect, it } from 'vitest';
import { lora, mlxFormat } from '../index.js';

const decoder = tinyModels()[2]!;
const methods = [lora] as unknown as AnyMethod[];

describe("MLX-LM's adapters", () => {
  let engine: Engine;
  let model: Model;
  let folder: string;
  usePortableEngine((active) => (engine = active));
  useTemporaryFolder((path) => (folder = path));
  useModel(
    () => decoder.open(engine),
    (made) => (model = made),
  );

  const logits = () =>
    tf.tidy(() => model.forward(decoder.batch).logits!.dataSync<'float32'>().slice());

  it('load with their scale, and their matrices the other way round', async () => {
    const path = 'model.layers.1.self_attn.q_proj';
    const [a, b] = [seededValues('a', 12 * 3, 0.4), seededValues('b', 3 * 12, 0.4)];
    await writeSafetensors(join(folder, 'adapters.safetensors'), [
      { name: `${path}.lora_a`, dtype: 'F32', shape: [12, 3], data: a },
      { name: `${path}.lora_b`, dtype: 'F32', shape: [3, 12], data: b },
    ]);
    writeFileSync(
      join(folder, 'adapter_config.json'),
      JSON.stringify({
        fine_tune_type: 'lora',
        num_layers: 1,
        lora_parameters: { rank: 3, scale: 2.5, dropout: 0 },
        iters: 600,
        learning_rate: 1e-5,
      }),
    );
    const { adapter, warnings } = await loadAdapter(model, folder, {
      methods,
      formats: [mlxFormat],
    });
    expect(warnings).toEqual([]);
    const attached = adapter.at('linear', path)[0]!.attachment;
    // The update of W is scale·(a·b)ᵀ.
    tf.tidy(() => {
      const expected = tf.transpose(
        tf.mul(tf.matMul(tf.tensor2d(a, [12, 3]), tf.tensor2d(b, [3, 12])), 2.5),
      );
      expect(attached.merge!({ weight: tf.zeros([12, 12]) }).weight).toBeAllclose(expected, {
        atol: 1e-5,
      });
    });
  });

  it.each([false, true])(
    "are written, read again, and turned into PEFT's (DoRA: %s)",
    async (dora) => {
      for (const { value, shape, name } of model
        .addAdapter(
          'a',
          lora({ rank: 2, alpha: 3, dora, layersToTransform: 1, targets: ['q_proj', 'down_proj'] }),
        )
        .parameters.values()) {
        if (name.includes('lora_') && !name.includes('magnitude'))
          tf.tidy(() =>
            value.assign(
              tf.tensor2d(seededValues(name, value.size, 0.3), shape as [number, number]),
            ),
          );
      }
      const trained = logits();
      await saveAdapter(model, 'a', join(folder, 'mlx'), { format: mlxFormat });
      const config = JSON.parse(readFileSync(join(folder, 'mlx', 'adapter_config.json'), 'utf8'));
      expect(config).toEqual({
        fine_tune_type: dora ? 'dora' : 'lora',
        num_layers: 1,
        lora_parameters: {
          rank: 2,
          scale: 1.5,
          dropout: 0,
          keys: ['self_attn.q_proj', 'mlp.down_proj'],
        },
      });
      const store = openSafetensors(join(folder, 'mlx', 'adapters.safetensors'));
      expect(store.get('model.layers.1.mlp.down_proj.lora_a')!.shape).toEqual([20, 2]);
      expect(readFloat32(store.get('model.layers.1.self_attn.q_proj.lora_b')!)).toHaveLength(24);
      store.close();
      model.deleteAdapter('a');
      await loadAdapter(model, join(folder, 'mlx'), { name: 'b', methods, formats: [mlxFormat] });
      expect(logits()).toEqual(trained);
      await saveAdapter(model, 'b', join(folder, 'peft'));
      expect(
        JSON.parse(readFileSync(join(folder, 'peft', 'adapter_config.json'), 'utf8')),
      ).toMatchObject({ peft_type: 'LORA', r: 2, lora_alpha: 3, use_dora: dora });
      model.deleteAdapter('b');
      await loadAdapter(model, join(folder, 'peft'), { methods });
      expect(logits()).toEqual(trained);
    },
  );

  it('are refused when they train whole layers, and cannot hold what MLX-LM lacks', async () => {
    await writeSafetensors(join(folder, 'adapters.safetensors'), []);
    writeFileSync(
      join(folder, 'adapter_config.json'),
      '{"fine_tune_type": "full", "lora_parameters": {}}',
    );
    await expect(loadAdapter(model, folder, { methods, formats: [mlxFormat] })).rejects.toThrow(
      'fine_tune_type "full" is not supported.',
    );
    model.addAdapter('a', lora({ rankPattern: { q_proj: 2 } }));
    await expect(
      saveAdapter(model, 'a', join(folder, 'no'), { format: mlxFormat, allowUntrained: true }),
    ).rejects.toThrow('lora: MLX-LM has no rankPattern.');
  });
});
