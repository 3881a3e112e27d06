import * as tf from '@tensorflow/tfjs';
import type { Scalar } from '@tensorflow/tfjs';
import {
  combineMethods,
  describeModel,
  loadModel,
  randomWeights,
  type HeadOptions,
  type MethodSpec,
  type WeightQuantization,
} from '@peft/core';
import { bitfit } from '@peft/bitfit';
import { ia3 } from '@peft/ia3';
import { lora } from '@peft/lora';
import { nativeSizing } from '@peft/native';
import { crossEntropy, linearCrossEntropy, variableGradients, type Engine } from '@peft/ops';
import { adamw, adamw8bit, createOptimizer, type Optimizer } from '@peft/optim';
import { createPortableEngine, portableSizing } from '@peft/portable';
import { beforeAll, describe, expect, test } from 'vitest';
import { familyOf, LLAMA, NF4 } from '../../test/small-llama.js';
import { firstBlocks, planMemory } from '../index.js';

const DEBERTA = {
  model_type: 'deberta-v2',
  vocab_size: 400,
  hidden_size: 96,
  intermediate_size: 384,
  num_hidden_layers: 3,
  num_attention_heads: 4,
  max_position_embeddings: 256,
  relative_attention: true,
  position_buckets: 32,
  norm_rel_ebd: 'layer_norm',
  share_att_key: true,
  pos_att_type: 'p2c|c2p',
  position_biased_input: false,
  type_vocab_size: 0,
  hidden_dropout_prob: 0.1,
  attention_probs_dropout_prob: 0.1,
};
const T5 = {
  model_type: 't5',
  vocab_size: 400,
  d_model: 128,
  d_kv: 32,
  num_heads: 4,
  d_ff: 256,
  num_layers: 3,
  num_decoder_layers: 3,
  feed_forward_proj: 'gated-gelu',
  tie_word_embeddings: false,
};
const BERT = {
  model_type: 'bert',
  vocab_size: 400,
  hidden_size: 128,
  num_hidden_layers: 3,
  num_attention_heads: 4,
  intermediate_size: 256,
  max_position_embeddings: 256,
  type_vocab_size: 2,
  hidden_dropout_prob: 0.1,
  attention_probs_dropout_prob: 0.1,
};
const classes: HeadOptions = { kind: 'pooled-linear', outputs: 2 };

/**
 * What a process really holds for one step: weights, adapters, gradients, state, and the most that
 * lived in forward and backward pass.
 */
interface Held {
  readonly weightBytes: number;
  readonly stateBytes: number;
  readonly activationBytes: number;
  readonly totalBytes: number;
}

/** The engine's pool counts every tensor that a kernel made, whatever the tape keeps. */
type PoolEngine = Engine & {
  readonly backend: {
    readonly pool: {
      resetPeak(): void;
      readonly usage: { readonly livingBytes: number; readonly peakLivingBytes: number };
    };
  };
};

interface Configuration {
  readonly title: string;
  readonly config: Readonly<Record<string, unknown>> & { model_type: string };
  readonly head: HeadOptions;
  readonly method: MethodSpec;
  readonly sequences: number;
  readonly length: number;
  readonly checkpointing: boolean | ReadonlySet<number>;
  readonly quantization?: WeightQuantization;
  readonly optimizer: Optimizer;
}

const CONFIGURATIONS: readonly Configuration[] = [
  {
    title: 'LoRA on Llama with a language model head',
    config: LLAMA,
    head: { kind: 'causal-lm' },
    method: lora({ rank: 4, targets: 'all-linear' }),
    sequences: 4,
    length: 48,
    checkpointing: false,
    optimizer: adamw(),
  },
  {
    title: 'QLoRA on Llama, checkpointed, 8-bit state',
    config: LLAMA,
    head: { kind: 'causal-lm' },
    method: lora({ rank: 16, targets: 'all-linear' }),
    sequences: 3,
    length: 64,
    checkpointing: true,
    quantization: NF4,
    optimizer: adamw8bit(),
  },
  {
    title: 'IA3 and biases on DeBERTa with dropout',
    config: DEBERTA,
    head: classes,
    method: combineMethods('ia3_bias', ia3(), bitfit()),
    sequences: 5,
    length: 33,
    checkpointing: false,
    optimizer: adamw(),
  },
  {
    title: 'DoRA on BERT, two of three blocks checkpointed, int8',
    config: BERT,
    head: classes,
    method: lora({ rank: 8, dora: true, targets: ['query', 'value'] }),
    sequences: 2,
    length: 120,
    checkpointing: firstBlocks(2),
    quantization: { format: 'int8' },
    optimizer: createOptimizer('adafactor'),
  },
  {
    title: 'LoRA on an encoder-decoder',
    config: T5,
    head: { kind: 'seq2seq-lm' },
    method: lora({ dropout: 0.1 }),
    sequences: 4,
    length: 40,
    checkpointing: false,
    optimizer: createOptimizer('lion'),
  },
  {
    title: 'an encoder with all its biases unfrozen',
    config: T5,
    head: classes,
    method: lora({ targets: 'all-linear', modulesToSave: ['final_layer_norm'] }),
    sequences: 1,
    length: 90,
    checkpointing: true,
    quantization: { format: 'fp4', blockSize: 32 },
    optimizer: createOptimizer('sgd'),
  },
];

let native: PoolEngine | undefined;
beforeAll(async () => {
  try {
    native = (await import('@peft/native')).createNativeEngine();
  } catch (error) {
    if ((error as { code?: string }).code !== 'PEFT_NATIVE_UNAVAILABLE') throw error;
  }
});

async function runForReal(
  engine: PoolEngine,
  {
    config,
    head,
    method,
    sequences,
    length,
    checkpointing,
    quantization,
    optimizer,
  }: Configuration,
): Promise<Held> {
  await engine.activate();
  const architecture = familyOf(config);
  const description = describeModel(architecture, architecture.parseConfig(config), head);
  const model = loadModel(
    architecture,
    config,
    randomWeights(description, { dtype: 'BF16' }),
    engine,
    { head, ...(quantization && { quantization }) },
  );
  model.addAdapter('default', method);
  const variables = model.trainables().map(({ value }) => value);
  const parameters = model.trainables().map(({ name, value }) => ({
    name,
    variable: value,
    group: { learningRateScale: 1, weightDecay: 0 },
  }));
  const state = optimizer.init(parameters);
  const side = {
    inputIds: Int32Array.from({ length: sequences * length }, (_, n) => 5 + (n % 7)),
    offsets: Int32Array.from({ length: sequences + 1 }, (_, b) => b * length),
  };
  const batch = { ...side, ...(head.kind === 'seq2seq-lm' && { decoder: side }) };
  const isLanguageModel = head.kind !== 'pooled-linear';
  const loss = (): Scalar => {
    const { logits, hidden, outputLayer } = model.forward(batch, {
      training: true,
      checkpointing,
      ...(isLanguageModel && { logitRows: 'none' as const }),
    });
    const labels = (rows: number) => new Int32Array(rows).fill(1);
    return tf.sum(
      outputLayer
        ? linearCrossEntropy(hidden, outputLayer.weight, labels(hidden.shape[0]), outputLayer)
        : crossEntropy(logits!, labels(logits!.shape[0])),
    ) as Scalar;
  };
  const step = () => tf.dispose(tf.tidy(() => variableGradients(loss, variables)));
  step(); // makes the tables that a model keeps
  const { pool } = engine.backend;
  pool.resetPeak();
  const before = pool.usage.livingBytes;
  step();
  const activationBytes = pool.usage.peakLivingBytes - before;
  const trained = variables.reduce((sum, { size }) => sum + 4 * size, 0);
  const held = {
    weightBytes: model.weights.byteLength,
    stateBytes: state.store.residentBytes,
    activationBytes,
    totalBytes:
      model.weights.byteLength + state.store.residentBytes + 2 * trained + activationBytes,
  };
  state.dispose();
  model.dispose();
  return held;
}

describe('a plan and the run itself', () => {
  test.each(CONFIGURATIONS.map((each) => [each.title, each] as const))(
    'differ by at most a tenth: %s',
    async (_, each) => {
      // nothing counts tensors where the addon was not built
      if (!native) return expect(native).toBeUndefined();
      const held = await runForReal(native, each);
      const plan = planMemory({
        architecture: familyOf(each.config),
        engine: nativeSizing,
        storedDtype: 'BF16',
        ...each,
        batch: each,
      });
      expect(plan.weightBytes).toBe(held.weightBytes);
      expect(plan.optimizerStateBytes).toBe(held.stateBytes);
      expect(Math.abs(plan.activationBytes / held.activationBytes - 1)).toBeLessThan(0.1);
      expect(Math.abs((plan.peakBytes - plan.runtimeBytes) / held.totalBytes - 1)).toBeLessThan(
        0.1,
      );
    },
  );

  test('leave no tensor behind and the backend as it was', async () => {
    const engine = await createPortableEngine({ backend: 'cpu' });
    await engine.activate();
    const before = tf.memory().numTensors;
    planMemory({
      architecture: familyOf(BERT),
      config: BERT,
      head: classes,
      method: lora(),
      engine: portableSizing,
    });
    planMemory({ architecture: familyOf(LLAMA), config: LLAMA, engine: nativeSizing });
    expect(() =>
      planMemory({
        architecture: familyOf(BERT),
        config: BERT,
        head: classes,
        method: lora({ targets: ['nowhere'] }),
        engine: nativeSizing,
      }),
    ).toThrow('no linear or embedding site matches "nowhere"');
    expect(tf.memory().numTensors).toBe(before);
    expect(tf.getBackend()).toBe('cpu');
    engine.dispose();
  });
});
