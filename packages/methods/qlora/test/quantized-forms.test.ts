/** Bases in the forms of quantised checkpoints: they compute as their values do, and train. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import {
  architectureFor,
  describeModel,
  loadAdapter,
  loadModel,
  saveAdapter,
  type AnyMethod,
  type Model,
  type ParameterSpec,
  type WeightStore,
} from '@peft/core';
import { openSafetensors } from '@peft/hub';
import { lora } from '@peft/lora';
import { architectures } from '@peft/models';
import { planMemory } from '@peft/memory-plan';
import { createNativeEngine, nativeSizing } from '@peft/native';
import { crossEntropy, type Engine, type FrozenWeight, type WeightFormat } from '@peft/ops';
import { createPortableEngine } from '@peft/portable';
import { toBeAllclose } from '@peft/testing';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { fp8Blocks, mxfp4 } from './forms/float-packers.js';
import { awq, compressedTensors, gptq } from './forms/integer-packers.js';
import { packedCheckpoint, storedWeights, type Packer } from './forms/packed-checkpoint.js';

expect.extend({ toBeAllclose });

const LLAMA = {
  model_type: 'llama',
  vocab_size: 40,
  hidden_size: 64,
  intermediate_size: 96,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  max_position_embeddings: 32,
  tie_word_embeddings: false,
};
const GPT_OSS = {
  ...LLAMA,
  model_type: 'gpt_oss',
  head_dim: 16,
  num_local_experts: 4,
  num_experts_per_tok: 2,
  sliding_window: 8,
};
const head = { kind: 'causal-lm' } as const;
const batch = { inputIds: Int32Array.of(3, 9, 27, 4, 11, 33, 2), offsets: Int32Array.of(0, 4, 7) };
const labels = Int32Array.of(9, 27, 4, -100, 33, 2, -100);
const LINEAR = /layers.*proj\.weight$/;
const EXPERTS = /experts\.(gate_up|down)_proj$/;

const methods = [lora] as unknown as AnyMethod[]; // the set is open

interface Form {
  readonly name: string;
  readonly settings: object;
  readonly pack: Packer;
  readonly config?: typeof LLAMA;
  readonly packs?: RegExp;
  /** In memory; default: two bytes a value. */
  readonly format?: WeightFormat;
}

const compressed = (format: string, weights: object) => ({
  quant_method: 'compressed-tensors',
  format,
  config_groups: { group_0: { targets: ['Linear'], weights } },
  ignore: ['lm_head'],
});

const FORMS: readonly Form[] = [
  {
    name: 'FP8 in blocks',
    settings: { quant_method: 'fp8', weight_block_size: [32, 32] },
    pack: fp8Blocks(32),
  },
  {
    name: 'MXFP4 experts',
    settings: { quant_method: 'mxfp4' },
    pack: mxfp4,
    config: GPT_OSS,
    packs: EXPERTS,
    format: 'mxfp4',
  },
  {
    name: 'GPTQ in 4 bits',
    settings: { quant_method: 'gptq', bits: 4, group_size: 32, sym: false },
    pack: gptq({ bits: 4, groupSize: 32 }),
    format: 'int4',
  },
  {
    name: 'GPTQ in 4 bits, its second layout',
    settings: { quant_method: 'gptq', bits: 4, group_size: 32, checkpoint_format: 'gptq_v2' },
    pack: gptq({ bits: 4, groupSize: 32, isSecondLayout: true }),
    format: 'int4',
  },
  {
    name: 'GPTQ in the order of activations',
    settings: { quant_method: 'gptq', bits: 4, group_size: 16, desc_act: true },
    pack: gptq({ bits: 4, groupSize: 16, isOrdered: true }),
  },
  {
    name: 'GPTQ in 8 bits',
    settings: { quant_method: 'gptq', bits: 8, group_size: 32 },
    pack: gptq({ bits: 8, groupSize: 32 }),
  },
  {
    name: 'GPTQ in 3 bits',
    settings: { quant_method: 'gptq', bits: 3, group_size: 32 },
    pack: gptq({ bits: 3, groupSize: 32 }),
  },
  {
    name: 'GPTQ in 2 bits',
    settings: { quant_method: 'gptq', bits: 2, group_size: 32 },
    pack: gptq({ bits: 2, groupSize: 32 }),
  },
  {
    name: 'AWQ',
    settings: { quant_method: 'awq', bits: 4, group_size: 32, version: 'gemm', zero_point: true },
    pack: awq(32),
    format: 'int4',
  },
  {
    name: 'compressed-tensors packed in 4 bits by groups',
    settings: compressed('pack-quantized', { num_bits: 4, strategy: 'group', group_size: 32 }),
    pack: compressedTensors({ bits: 4, groupSize: 32, isSymmetric: true, isPacked: true }),
    format: 'int4',
  },
  {
    name: 'compressed-tensors packed in 4 bits with zero points, by rows',
    settings: compressed('pack-quantized', {
      num_bits: 4,
      strategy: 'channel',
      symmetric: false,
    }),
    pack: compressedTensors({ bits: 4, isSymmetric: false, isPacked: true }),
    format: 'int4',
  },
  {
    name: 'compressed-tensors packed in 8 bits by rows',
    settings: compressed('pack-quantized', { num_bits: 8, strategy: 'channel' }),
    pack: compressedTensors({ bits: 8, isSymmetric: true, isPacked: true }),
    format: 'int8',
  },
  {
    name: 'compressed-tensors in plain 8 bits by rows',
    settings: compressed('int-quantized', { num_bits: 8, strategy: 'channel' }),
    pack: compressedTensors({ bits: 8, isSymmetric: true, isPacked: false }),
    format: 'int8',
  },
  {
    name: 'compressed-tensors in plain 8 bits with zero points',
    settings: compressed('int-quantized', {
      num_bits: 8,
      strategy: 'channel',
      symmetric: false,
    }),
    pack: compressedTensors({ bits: 8, isSymmetric: false, isPacked: false }),
  },
  {
    name: 'compressed-tensors in 8-bit floats',
    settings: compressed('float-quantized', {
      type: 'float',
      num_bits: 8,
      strategy: 'block',
      block_structure: [32, 32],
    }),
    pack: fp8Blocks(32, '_scale'),
  },
];

const engines: Record<'portable' | 'native', () => Promise<Engine>> = {
  portable: () => createPortableEngine(),
  native: async () => createNativeEngine({ precision: 'float32' }),
};

describe.each(['portable', 'native'] as const)('on the %s engine', (engineName) => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await engines[engineName]();
    await engine.activate();
  });
  afterAll(() => engine.dispose());

  const open = (config: object, store: WeightStore): Model => {
    const json = config as Record<string, unknown>;
    const architecture = architectureFor(json['model_type'], architectures);
    const model = loadModel(architecture, json, store, engine, { head });
    onTestFinished(() => model.dispose());
    return model;
  };
  const logitsOf = (model: Model): Float32Array =>
    tf.tidy(() => Float32Array.from(model.forward(batch).logits!.dataSync()));

  describe.each(FORMS)(
    '$name',
    ({ name, settings, pack, config = LLAMA, packs = LINEAR, format }) => {
      const architecture = architectureFor(config.model_type, architectures);
      const description = describeModel(architecture, architecture.parseConfig(config), head);
      const stores = packedCheckpoint(storedWeights(description), (name) => packs.test(name), pack);
      const quantised = { ...config, quantization_config: settings };

      test('computes what the values that it stands for compute', () => {
        const [packed, plain] = [open(quantised, stores.packed), open(config, stores.plain)];
        expect(logitsOf(packed)).toBeAllclose(logitsOf(plain), { atol: 2e-6, rtol: 0 });
        const isOf = ({ name, entry }: ParameterSpec) => packs.test(entry?.of ?? name);
        const spec = description.parameters.find(isOf)!;
        const held = (packed.weights.get(spec.name) as FrozenWeight).format;
        if (format) expect(held).toBe(format);
        else expect(held).toMatch(/^b?f16$/);
      });

      test('takes the memory that is planned for it', () => {
        const { weights } = open(quantised, stores.packed);
        const plan = planMemory({
          architecture,
          config: quantised,
          head,
          storedDtype: 'F32',
          engine: nativeSizing,
        });
        // a whole row of these narrow matrices is planned as blocks of 1024
        const most = /by rows/.test(name) && format === 'int4' ? 0.1 : 0.03;
        expect(Math.abs(plan.weightBytes / weights.byteLength - 1)).toBeLessThan(most);
      });

      test("is trained on, and the adapter is PEFT's, for any base of these values", async () => {
        const packed = open(quantised, stores.packed);
        packed.addAdapter('a', lora({ rank: 2, targets: ['q_proj', 'v_proj'] }), { seed: 3 });
        const losses = train(packed);
        expect(losses[2]).toBeLessThan(losses[0]!);
        const folder = mkdtempSync(join(tmpdir(), 'peft-forms-'));
        onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
        await saveAdapter(packed, 'a', folder);
        const file = openSafetensors(join(folder, 'adapter_model.safetensors'));
        expect(file.names()).toContain(
          'base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight',
        );
        file.close();
        const plain = open(config, stores.plain);
        await loadAdapter(plain, folder, { methods });
        expect(logitsOf(plain)).toBeAllclose(logitsOf(packed), { atol: 2e-6, rtol: 0 });
      });
    },
  );
});

/** Steps down the gradient; the losses before each. */
function train(model: Model): number[] {
  const variables = model.trainables().map(({ value }) => value);
  return Array.from({ length: 3 }, () => {
    const { value, grads } = tf.tidy(() =>
      tf.variableGrads(
        () => tf.tidy(() => tf.mean(crossEntropy(model.forward(batch).logits!, labels)).asScalar()),
        variables,
      ),
    );
    for (const variable of variables)
      tf.tidy(() => variable.assign(tf.sub(variable, tf.mul(grads[variable.name]!, 0.5))));
    const loss = value.dataSync()[0]!;
    tf.dispose([value, grads]);
    return loss;
  });
}
