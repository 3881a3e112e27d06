import * as tf from '@tensorflow/tfjs';
import type { Scalar } from '@tensorflow/tfjs';
import {
  architectureFor,
  combineMethods,
  describeModel,
  loadModel,
  randomWeights,
  type Architecture,
  type HeadOptions,
  type MethodSpec,
  type WeightQuantization,
} from '@peft/core';
import { bitfit } from '@peft/bitfit';
import { ia3 } from '@peft/ia3';
import { lora } from '@peft/lora';
import { architectures } from '@peft/models';
import { crossEntropy, linearCrossEntropy, variableGradients, type Engine } from '@peft/ops';
import { adamw, adamw8bit, createOptimizer, type Optimizer } from '@peft/optim';
import { createPortableEngine } from '@peft/portable';
import { beforeAll, describe, expect, test } from 'vitest';
import {
  chooseSettings,
  firstBlocks,
  formatPlan,
  planMemory,
  requireFit,
  suggestSettings,
  weightBytes,
  type PlanRequest,
} from '../index.js';

const LLAMA = {
  model_type: 'llama',
  vocab_size: 400,
  hidden_size: 128,
  intermediate_size: 256,
  num_hidden_layers: 4,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  max_position_embeddings: 256,
  tie_word_embeddings: false,
};
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
const NF4 = { format: 'nf4', doubleQuantization: true } as const;

const familyOf = (config: { model_type: string }): Architecture<never> =>
  architectureFor(config.model_type, architectures) as never;
const machine = (usableBytes: number) => ({ totalBytes: 32e9, usableBytes });

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
      engine: 'portable',
    });
    planMemory({ architecture: familyOf(LLAMA), config: LLAMA });
    expect(() =>
      planMemory({
        architecture: familyOf(BERT),
        config: BERT,
        head: classes,
        method: lora({ targets: ['nowhere'] }),
      }),
    ).toThrow('no linear or embedding site matches "nowhere"');
    expect(tf.memory().numTensors).toBe(before);
    expect(tf.getBackend()).toBe('cpu');
    engine.dispose();
  });
});

describe('a plan', () => {
  const request: PlanRequest = {
    architecture: familyOf(LLAMA),
    config: { ...LLAMA, torch_dtype: 'bfloat16' },
    head: { kind: 'causal-lm' },
    method: lora({ rank: 4, targets: 'all-linear' }),
    batch: { sequences: 8, length: 128 },
    machine: machine(16e9),
  };

  test('knows the bytes of every format', () => {
    expect(weightBytes(64, 128, { format: 'bf16' })).toBe(2 * 8192);
    expect(weightBytes(64, 128, { format: 'nf4' })).toBe(4096 + 4 * 128); // 128 blocks of 64
    expect(weightBytes(64, 128, { format: 'nf4', doubleQuantization: true })).toBe(
      4096 + 128 + 4 + 1024,
    ); // codes, their codes, one nested maximum, the table
    expect(weightBytes(64, 128, { format: 'fp4', blockSize: 256 })).toBe(4096 + 4 * 32);
    expect(weightBytes(64, 128, { format: 'int8' })).toBe(8192 + 4 * 64);
  });

  test(
    'has less for activations with checkpointing, less for state in 8 bits or in a page ' +
      'file, less for weights in NF4',
    () => {
      const plain = planMemory(request);
      expect(planMemory({ ...request, checkpointing: true }).activationBytes).toBeLessThan(
        plain.activationBytes / 2,
      );
      expect(
        planMemory({ ...request, optimizer: adamw8bit({ minimumElements: 0 }) })
          .optimizerStateBytes,
      ).toBeLessThan(plain.optimizerStateBytes / 3);
      const paged = planMemory({ ...request, residentStateBytes: 1000 });
      expect([paged.optimizerStateBytes, paged.pagedStateBytes]).toEqual([
        1000,
        plain.optimizerStateBytes - 1000,
      ]);
      expect(planMemory({ ...request, quantization: NF4 }).weightBytes).toBeLessThan(
        plain.weightBytes,
      );
      const narrow = (format: 'bf16' | 'f32') =>
        planMemory({
          ...request,
          config: LLAMA,
          storedDtype: 'F32',
          ...(format === 'bf16' && { quantization: { format } }),
        }).weightBytes;
      expect(narrow('bf16')).toBeLessThan(0.51 * narrow('f32'));
      expect(planMemory({ ...request, storedQuantization: NF4 }).weightBytes).toBe(
        planMemory({ ...request, quantization: NF4 }).weightBytes,
      );
    },
  );

  test('grows with every block that is kept', () => {
    const activations = [4, 3, 2, 1, 0].map(
      (count) => planMemory({ ...request, checkpointing: firstBlocks(count) }).activationBytes,
    );
    expect(activations).toEqual([...activations].sort((a, b) => a - b));
    expect(new Set(activations).size).toBe(5);
  });

  test('counts 4 bytes for a value that trains, 4 for its gradient and 8 for what Adam keeps of it', () => {
    const plan = planMemory(request);
    expect(plan.gradientBytes).toBe(4 * plan.trainableParameters);
    expect(plan.optimizerStateBytes).toBe(8 * plan.trainableParameters);
    expect(plan.adapterBytes).toBe(4 * plan.trainableParameters);
  });

  test('makes no start values: the weights that PiSSA changes are float32, and nothing is decomposed', () => {
    const method = (init: string) => lora({ rank: 4, targets: ['q_proj'], init });
    const [plain, pissa] = [
      planMemory({ ...request, method: method('default') }),
      planMemory({ ...request, method: method('pissa') }),
    ];
    expect(pissa.trainableParameters).toBe(4 * 4 * (128 + 128));
    expect(pissa.adapterBytes - plain.adapterBytes).toBe(4 * 4 * 128 * 128); // four layers' q_proj
  });

  test('is shown part by part, with what the machine has', () => {
    const text = formatPlan(planMemory({ ...request, machine: machine(1e6) }));
    expect(text.split('\n').map((line) => line.split(/\s{2,}/)[0])).toEqual([
      'weights',
      'adapters',
      'gradients',
      'optimiser state',
      'activations',
      'runtime',
      'peak',
    ]);
    expect(text).toContain('1.0 MB of 32.0 GB are free: it does not fit');
  });

  test('refuses what no batch can be', () => {
    expect(() => planMemory({ ...request, batch: { sequences: 0, length: 4 } })).toThrow(
      'memory plan: batch.sequences must be a positive integer, got 0.',
    );
  });
});

describe('a plan for a GPU', () => {
  const gpu = { name: 'NVIDIA L4', totalBytes: 24e9, usableBytes: 20e9 };
  const request: PlanRequest = {
    architecture: familyOf(LLAMA),
    config: { ...LLAMA, torch_dtype: 'bfloat16' },
    head: { kind: 'causal-lm' },
    method: lora({ rank: 64, targets: 'all-linear' }),
    batch: { sequences: 8, length: 128 },
    engine: 'tensorflow',
    precision: 'bfloat16',
    machine: machine(16e9),
    gpu,
  };

  test('has the model on the card, and in the process the state and the copies that TensorFlow keeps', () => {
    const plan = planMemory({ ...request, gpu: { ...gpu, runtimeBytes: 0 }, runtimeBytes: 0 });
    expect(plan.gpu!.peakBytes).toBe(
      plan.weightBytes + plan.adapterBytes + plan.gradientBytes + plan.activationBytes,
    );
    const embedding = 2 * 400 * 128; // the largest tensor, as it is stored
    expect(plan.peakBytes).toBe(
      Math.max(plan.optimizerStateBytes + plan.adapterBytes + plan.updateBytes, 2 * embedding),
    );
    const quantised = planMemory({
      ...request,
      quantization: NF4,
      gpu: { ...gpu, runtimeBytes: 0 },
      runtimeBytes: 0,
    });
    expect(quantised.gpu!.hostCopyBytes).toBe(
      quantised.adapterBytes +
        4 *
          (2 * weightBytes(128, 128, NF4) +
            2 * weightBytes(64, 128, NF4) +
            3 * weightBytes(256, 128, NF4)),
    );
  });

  test('has the optimiser state where it is kept, and its pages in the other memory', () => {
    const [host, device] = [
      planMemory(request),
      planMemory({ ...request, optimizerStateOn: 'device', residentStateBytes: 100_000 }),
    ];
    expect(host.gpu!.optimizerStateBytes).toBe(0);
    expect(device.gpu!.optimizerStateBytes).toBe(100_000);
    expect(device.pagedStateBytes).toBe(host.optimizerStateBytes - 100_000);
    const tight = {
      ...request,
      optimizerStateOn: 'device',
      gpu: {
        ...gpu,
        usableBytes: planMemory({ ...request, optimizerStateOn: 'device' }).gpu!.peakBytes - 1,
      },
    } as const;
    expect(suggestSettings(tight).map(({ kind }) => kind)).not.toContain('8-bit-optimizer'); // which computes on the host
    expect(formatPlan(device)).toMatch(
      /optimiser state +100\.0 kB {3}and [\d.]+ MB in the machine's memory/,
    );
  });

  test('fits when both memories suffice, and says which does not', () => {
    expect(planMemory(request).fits).toBe(true);
    const small = { ...request, gpu: { ...gpu, usableBytes: 1e6 } };
    expect(() => requireFit(planMemory(small))).toThrow(
      /would take [\d.]+ MB on NVIDIA L4, and 1\.0 MB of 24\.0 GB are free\.\non NVIDIA L4\nweights/,
    );
    expect(() => requireFit(planMemory({ ...request, machine: machine(1e6) }))).toThrow(
      /would take [\d.]+ GB, and 1\.0 MB of 32\.0 GB are free/,
    );
  });

  test('takes the measures that lower what the card holds', () => {
    const peak = planMemory(request).gpu!.peakBytes;
    const { applied, plan } = chooseSettings({
      ...request,
      gpu: { ...gpu, usableBytes: peak - 1e6 },
    });
    expect(applied.map(({ kind }) => kind)).toEqual(['micro-batch']);
    expect(applied[0]!.peakBytes).toBe(plan.gpu!.peakBytes);
    const suggested = suggestSettings({ ...request, gpu: { ...gpu, usableBytes: peak - 1 } }).map(
      ({ kind }) => kind,
    );
    expect(suggested).not.toContain('8-bit-optimizer'); // its state is not there
  });

  test(
    'takes less in the kernels that are compiled for CPUs, and more where weights are ' +
      'converted for a product',
    () => {
      const own = ({ gpu: _gpu, ...rest }: PlanRequest): PlanRequest => rest;
      const activations = (changed: Partial<PlanRequest>) =>
        planMemory({ ...own(request), ...changed }).activationBytes;
      expect(activations({ compiledKernels: true })).toBeLessThan(
        activations({ compiledKernels: false }),
      );
      // the weights are larger than all else then
      const oneToken = { method: lora({ rank: 1 }), batch: { sequences: 1, length: 1 } };
      expect(activations({ ...oneToken, precision: 'float32' })).toBeGreaterThan(
        activations({ ...oneToken, precision: 'bfloat16' }) + 2 * 256 * 128,
      );
      expect(() => planMemory({ ...request, engine: 'native' })).toThrow(
        'gpu is given, and the native engine computes on the CPU',
      );
    },
  );
});

describe('settings', () => {
  const request: PlanRequest = {
    architecture: familyOf(LLAMA),
    config: { ...LLAMA, torch_dtype: 'bfloat16' },
    head: { kind: 'causal-lm' },
    method: lora({ rank: 64, targets: 'all-linear' }),
    batch: { sequences: 16, length: 128 },
  };
  const peak = planMemory(request).peakBytes;

  test('stay as they are where the run fits', () => {
    const { applied, plan } = chooseSettings({ ...request, machine: machine(peak) });
    expect(applied).toEqual([]);
    expect(plan.fits).toBe(true);
  });

  test('begin with smaller micro-batches that are still efficient, then checkpoint as few blocks as it takes', () => {
    // 512 tokens
    const efficient = planMemory({ ...request, batch: { sequences: 4, length: 128 } }).peakBytes;
    expect(
      chooseSettings({ ...request, machine: machine(efficient) }).applied.map(({ kind }) => kind),
    ).toEqual(['micro-batch']);
    const two = planMemory({
      ...request,
      batch: { sequences: 4, length: 128 },
      checkpointing: firstBlocks(2),
    }).peakBytes;
    const { settings, applied, plan } = chooseSettings({ ...request, machine: machine(two) });
    expect(applied.map(({ kind }) => kind)).toEqual(['micro-batch', 'checkpointing']);
    expect(settings.checkpointing).toEqual(firstBlocks(2));
    expect(plan.peakBytes).toBe(two);
  });

  test('round only when nothing else is left, and not at all when asked not to', () => {
    const smallest = planMemory({
      ...request,
      batch: { sequences: 1, length: 128 },
      checkpointing: true,
      residentStateBytes: 64e6,
    });
    const tight = machine(smallest.peakBytes - 100_000);
    const { applied, plan } = chooseSettings({ ...request, machine: tight });
    expect(applied.filter(({ isExact }) => !isExact)).not.toEqual([]);
    expect(plan.fits).toBe(true);
    expect(() => chooseSettings({ ...request, machine: tight }, { exact: true })).toThrow(
      expect.objectContaining({ code: 'PEFT_MEMORY_INSUFFICIENT' }),
    );
  });

  test('that nothing can make fit are refused with the plan', () => {
    const tiny = { ...request, machine: machine(1e6) };
    expect(() => chooseSettings(tiny)).toThrow(
      /memory plan: the run would take .* are free\.\nweights/s,
    );
    expect(() => requireFit(planMemory(tiny), suggestSettings(tiny))).toThrow(
      expect.objectContaining({
        code: 'PEFT_MEMORY_INSUFFICIENT',
        hint: 'take a smaller model, shorter texts, or a machine with more memory',
      }),
    );
  });

  test('are suggested one by one, each with the peak that it would give', () => {
    const suggestions = suggestSettings({ ...request, machine: machine(peak - 1) });
    expect(suggestions.map(({ kind }) => kind)).toEqual([
      'micro-batch',
      'checkpointing',
      '8-bit-optimizer',
      'quantization',
    ]); // the state is below what stays in memory
    for (const { settings, peakBytes, fits } of suggestions) {
      expect(planMemory({ ...request, ...settings }).peakBytes).toBe(peakBytes);
      expect(fits).toBe(peakBytes <= peak - 1);
    }
    expect(suggestions[0]!.text).toBe('micro-batches of 15 instead of 16 sequences');
    expect(suggestions[1]!.text).toBe('gradient checkpointing of the first 1 of 4 blocks');
  });
});
