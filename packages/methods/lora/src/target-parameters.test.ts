/** Matrices for each expert of a mixture, targeted by the parameter that holds them all. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as tf from '@tensorflow/tfjs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { architectureFor, loadAdapter, loadModel, saveAdapter, type Model } from '@peft/core';
import { openCheckpoint, openSafetensors, readFloat32 } from '@peft/hub';
import { lora } from '@peft/lora';
import { architectures } from '@peft/models';
import type { Engine } from '@peft/ops';
import { createPortableEngine } from '@peft/portable';

const MIXTRAL = fileURLToPath(new URL('../../../testing/fixtures/models/mixtral', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'peft-experts-'));
let engine: Engine;
let model: Model;
beforeAll(async () => {
  engine = await createPortableEngine();
  await engine.activate();
  const json = JSON.parse(readFileSync(join(MIXTRAL, 'config.json'), 'utf8')) as Record<
    string,
    unknown
  >;
  const store = openCheckpoint(MIXTRAL);
  model = loadModel(architectureFor(json['model_type'], architectures), json, store, engine, {
    head: { kind: 'causal-lm' },
  });
  store.close();
});
afterAll(() => {
  model.dispose();
  engine.dispose();
  rmSync(folder, { recursive: true, force: true });
});

const logits = (): Float32Array =>
  tf.tidy(
    () =>
      model
        .forward({ inputIds: Int32Array.of(5, 9, 14, 22, 31), offsets: Int32Array.of(0, 5) })
        .logits!.dataSync() as Float32Array,
  );

test('are packed in files as PEFT has them, and read back', async () => {
  const base = logits();
  const adapter = model.addAdapter(
    'experts',
    lora({
      rank: 2,
      targets: ['q_proj'],
      targetParameters: ['mlp.experts.gate_up_proj', 'mlp.experts.down_proj'],
    }),
  );
  for (const [name, { value }] of adapter.parameters)
    if (name.endsWith('lora_B.weight'))
      tf.tidy(() => value.assign(tf.randomNormal(value.shape, 0, 0.5, 'float32', 7)));
  const changed = logits();
  expect([...changed]).not.toEqual([...base]);
  await saveAdapter(model, 'experts', join(folder, 'adapter'));
  const block = 'model.layers.1.mlp.experts';
  const values = (name: string) => [...adapter.parameters.get(name)!.value.dataSync()];
  const [a, b] = ['lora_A', 'lora_B'].map((word) => values(`${block}.3.down_proj.${word}.weight`));
  model.deleteAdapter('experts');

  const file = openSafetensors(join(folder, 'adapter', 'adapter_model.safetensors'));
  const read = (name: string) => {
    const source = file.get(`base_model.model.${block}.${name}`)!;
    return { shape: source.shape, values: [...readFloat32(source)] };
  };
  // [experts·rank, in] and [out, rank·experts]: 4 experts, width 48, F 96
  expect(read('base_layer.lora_A.weight').shape).toEqual([8, 48]);
  expect(read('base_layer.lora_B.weight').shape).toEqual([192, 8]);
  const [packedA, packedB] = [read('lora_A.weight'), read('lora_B.weight')];
  expect([packedA.shape, packedB.shape]).toEqual([
    [8, 96],
    [48, 8],
  ]);
  expect(packedA.values.slice(3 * 2 * 96)).toEqual(a);
  expect(packedB.values.filter((_, at) => at % 4 === 3)).toEqual(b);
  expect(file.names().some((name) => /experts\.\d/.test(name))).toBe(false);
  file.close();
  const config = JSON.parse(
    readFileSync(join(folder, 'adapter', 'adapter_config.json'), 'utf8'),
  ) as Record<string, unknown>;
  expect([config['target_modules'], config['target_parameters']]).toEqual([
    ['q_proj'],
    ['mlp.experts.gate_up_proj', 'mlp.experts.down_proj'],
  ]);

  await loadAdapter(model, join(folder, 'adapter'), { methods: [lora] });
  expect([...logits()]).toEqual([...changed]);
  model.deleteAdapter('default');
});

test('that no expert has are refused by name, and options that PEFT refuses there', () => {
  expect(() => model.addAdapter('x', lora({ targetParameters: ['mlp.experts.up_proj'] }))).toThrow(
    /no parameter of experts ends with "mlp\.experts\.up_proj" in mixtral/,
  );
  expect(() => lora({ targetParameters: ['experts.down_proj'], dropout: 0.1 })).toThrow(
    /targetParameters go without dropout/,
  );
});
