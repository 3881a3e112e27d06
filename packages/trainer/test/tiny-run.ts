/**
 * A small model with an adapter, made-up texts to tell apart, and a training run over them: what
 * the trainer's tests start from.
 */
import {
  architectureFor,
  combineMethods,
  describeModel,
  loadModel,
  randomWeights,
  type MethodSpec,
  type Model,
  type TrainEvent,
} from '@peft/core';
import { createTrainEventBus } from '@peft/core';
import { bitfit } from '@peft/bitfit';
import { ia3 } from '@peft/ia3';
import { lora } from '@peft/lora';
import { encoderArchitectures } from '@peft/models';
import { randomKey, randomUniform, type Engine } from '@peft/ops';
import { adamw, cosineSchedule } from '@peft/optim';
import { createPortableEngine } from '@peft/portable';
import { packBatch, type PackedBatch } from '@peft/data';
import {
  classification,
  createBatchOrder,
  createEvaluator,
  type BatchOrder,
  type ClassificationBatch,
  type TrainingData,
  type TrainRequest,
} from '../src/index.js';

const SIZES = {
  vocab_size: 24,
  hidden_size: 16,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  intermediate_size: 24,
  max_position_embeddings: 40,
};

/** A config.json of each encoder family, dropout live. */
export const TINY_CONFIGS: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  bert: { model_type: 'bert', ...SIZES },
  roberta: { model_type: 'roberta', pad_token_id: 1, type_vocab_size: 1, ...SIZES },
  'xlm-roberta': { model_type: 'xlm-roberta', pad_token_id: 1, type_vocab_size: 1, ...SIZES },
  electra: { model_type: 'electra', embedding_size: 8, ...SIZES },
  'deberta-v2': {
    model_type: 'deberta-v2',
    relative_attention: true,
    position_buckets: 4,
    norm_rel_ebd: 'layer_norm',
    share_att_key: true,
    pos_att_type: 'p2c|c2p',
    position_biased_input: false,
    type_vocab_size: 0,
    ...SIZES,
  },
};

/** IA3 on queries and values, LoRA with dropout, and the biases: something of every kind. */
export const mixedMethod = (): MethodSpec =>
  combineMethods(
    'ia3_lora_bias',
    lora({ rank: 2, dropout: 0.2, targets: { roles: ['attention.query', 'attention.value'] } }),
    ia3({ targets: { roles: ['attention.query', 'attention.value'] } }),
    bitfit(),
  );

let engine: Engine | undefined;

/** One engine for all tests of a process, active. */
export async function tinyEngine(): Promise<Engine> {
  engine ??= await createPortableEngine();
  await engine.activate();
  return engine;
}

/** A model with random weights and a two-class head. The caller disposes it. */
export async function tinyModel(
  family = 'bert',
  method: MethodSpec = mixedMethod(),
  weightSeed = 1,
): Promise<Model> {
  const config = TINY_CONFIGS[family]!;
  const architecture = architectureFor(config['model_type'], encoderArchitectures);
  const head = { kind: 'pooled-linear', outputs: 2 } as const;
  const store = randomWeights(describeModel(architecture, architecture.parseConfig(config), head), {
    seed: weightSeed,
    standardDeviation: 0.3,
  });
  const model = loadModel(architecture, config, store, await tinyEngine(), { head });
  model.addAdapter('default', method, { seed: 7 });
  return model;
}

/** Sequences of 3 to 12 tokens; class 1 holds the token 9, class 0 does not. */
export function tinyData(
  examples = 24,
  seed = 5,
): TrainingData<PackedBatch> & { readonly labels: readonly number[] } {
  const key = randomKey(seed, 'tiny-data');
  const draw = (i: number, j: number, below: number) =>
    Math.floor(randomUniform(key, i * 100 + j) * below);
  const labels = Array.from({ length: examples }, (_, i) => draw(i, 99, 2));
  const texts = labels.map((label, i) => {
    const tokens = Array.from({ length: 3 + draw(i, 98, 10) }, (_, j) => 10 + draw(i, j, 14));
    tokens[0] = 2;
    if (label === 1) tokens[1 + draw(i, 97, tokens.length - 1)] = 9;
    return tokens;
  });
  return {
    labels,
    lengths: texts.map(({ length }) => length),
    pack: (rows) =>
      packBatch(Array.from(rows, (row) => ({ inputIds: texts[row]!, label: labels[row]!, row }))),
  };
}

/** Batches of 4 rows in micro-batches of at most 20 tokens. */
export function tinyOrder(
  { lengths }: Pick<TrainingData, 'lengths'>,
  changes: Partial<Parameters<typeof createBatchOrder>[0]> = {},
): BatchOrder {
  return createBatchOrder({
    lengths,
    batchSize: 4,
    maxTokensPerMicroBatch: 20,
    seed: 3,
    ...changes,
  });
}

export const accuracyOf =
  (labels: readonly number[]) =>
  (predictions: readonly Float64Array[]): { accuracy: number } => ({
    accuracy:
      predictions.filter((probabilities, i) => (probabilities[1]! > 0.5 ? 1 : 0) === labels[i])
        .length / labels.length,
  });

export interface TinyRun {
  readonly request: TrainRequest<ClassificationBatch>;
  readonly events: TrainEvent[];
}

/**
 * A run of 12 steps (2 epochs of 6 batches of 4), its events collected. Replace what a test is
 * about.
 */
export function tinyRun(
  model: Model,
  changes: Partial<TrainRequest<ClassificationBatch>> = {},
): TinyRun {
  const data = tinyData();
  const bus = createTrainEventBus((error) => {
    throw error;
  });
  const events: TrainEvent[] = [];
  bus.listen((event) => events.push(event));
  const { options, ...rest } = changes;
  return {
    events,
    request: {
      model,
      task: classification({ classes: 2 }),
      data,
      order: tinyOrder(data),
      optimizer: adamw(),
      schedule: cosineSchedule({ learningRate: 0.01, totalSteps: 12 }),
      group: ({ name }) => ({
        learningRateScale: name.startsWith('head') ? 1 : 0.5,
        weightDecay: name.includes('bias') ? 0 : 0.01,
      }),
      bus,
      ...rest,
      options: { epochs: 2, ...options },
    },
  };
}

/** `evaluate` and `options.validation` over other texts. */
export function tinyValidation(model: Model, everyEpochs = 0.5) {
  const data = tinyData(16, 11);
  return {
    evaluate: createEvaluator({
      model,
      task: classification({ classes: 2 }),
      data,
      score: accuracyOf(data.labels),
      maxTokensPerBatch: 40,
    }),
    validation: { metric: 'accuracy', direction: 'max', everyEpochs } as const,
  };
}

/** The bytes of every parameter of the adapter, by name. */
export function adapterBytes(model: Model): Record<string, string> {
  return Object.fromEntries(
    [...model.adapter('default').parameters.values()].map(({ name, value }) => [
      name,
      Buffer.from(new Uint8Array(value.dataSync().slice().buffer)).toString('hex'),
    ]),
  );
}
