import { adalora } from '@peft/adalora';
import * as tf from '@tensorflow/tfjs';
import { bitfit } from '@peft/bitfit';
import {
  combineMethods,
  SINGLE_RANK,
  type Collective,
  type HeadOptions,
  type MethodSpec,
  type WeightQuantization,
} from '@peft/core';
import { lora } from '@peft/lora';
import { methodNamed } from '@peft/methods';
import { prefixTuning, promptTuning } from '@peft/prompt-tuning';
import { actAsDevice } from '@peft/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  causalLanguageModel,
  classification,
  memoryCheckpointStore,
  runLocalRanks,
  train,
  type CheckpointStore,
  type ClassificationBatch,
  type TrainRequest,
} from '../src/index.js';
import { distance } from './adapter-distance.js';
import { copyOf, REFUSED, stageModel, STAGE_CONFIGS, texts } from './stage-models.js';
import {
  adapterBytes,
  tinyData,
  tinyEngine,
  tinyOrder,
  tinyRun,
  tinyValidation,
} from './tiny-run.js';

const loraMethod = (): MethodSpec =>
  combineMethods('lora_bias', lora({ rank: 2, dropout: 0.2, targets: 'all-linear' }), bitfit());
const tables = (): MethodSpec =>
  lora({ rank: 2, targets: 'all-linear', modulesToSave: ['embed_tokens'] });

/** Some say of few families and methods what all are asked in the long run. */
const isLong = process.env['PEFT_LONG_TESTS'] === '1';
/** Blocks of DeBERTa read a norm that stands outside of them, and trains. */
const SHARING = 'deberta-v2';
const FAMILIES = isLong
  ? Object.keys(STAGE_CONFIGS).filter((family) => ![...REFUSED, SHARING].includes(family))
  : ['bert', 'llama'];

const adaloraMethod = (): MethodSpec =>
  adalora({ initialRank: 3, targetRank: 1, totalSteps: 8, initialSteps: 1, finalSteps: 3 });

interface Run {
  readonly family?: string;
  readonly head?: HeadOptions;
  readonly method?: () => MethodSpec;
  readonly format?: WeightQuantization['format'];
  readonly doubleQuantization?: boolean;
  readonly changes?: Partial<TrainRequest<ClassificationBatch>>;
  readonly isScored?: boolean;
  /** Trains to write on. */
  readonly isText?: boolean;
  readonly store?: CheckpointStore;
}

/** 4 micro-batches a step at most, of uneven lengths. */
const onShards =
  ({ family = 'llama', head, method = loraMethod, changes, store, ...run }: Run) =>
  async (collective?: Collective) => {
    const { format, doubleQuantization } = run;
    const model = await stageModel(family, {
      head,
      shardRanks: collective,
      quantization: format && { format, blockSize: 32, doubleQuantization },
    });
    const heldBytes = model.weights.byteLength;
    try {
      model.addAdapter('default', method(), { seed: 7 });
      const order = tinyOrder(tinyData(), { batchSize: 7, microBatchSize: 2 });
      const { evaluate, validation } = run.isScored
        ? tinyValidation(model)
        : { evaluate: undefined, validation: undefined };
      const { request, events } = tinyRun(model, { order, collective, store, ...changes });
      const options = { maxSteps: 2, ...request.options, validation };
      const result = run.isText
        ? await train({ ...request, options, task: causalLanguageModel(), data: texts() })
        : await train({ ...request, options, evaluate });
      return { result, events, bytes: adapterBytes(model), heldBytes };
    } finally {
      model.dispose();
    }
  };

/** Trains on one rank that holds all and on several that share the base, to the same bytes. */
async function expectSameBytes(run: Run, sizes: readonly number[] = [2]): Promise<void> {
  const alone = await onShards(run)();
  for (const size of sizes)
    for (const { bytes, result, heldBytes } of await runLocalRanks(size, onShards(run))) {
      expect(result.step).toBe(alone.result.step);
      expect(heldBytes).toBeLessThan(alone.heldBytes);
      expect(bytes, `${size} ranks`).toEqual(alone.bytes);
      expect(result.loss).toBe(alone.result.loss);
    }
}

let tensors: number;
beforeEach(() => {
  tensors = tf.memory().numTensors;
});
afterEach(() => {
  expect(tf.memory().numTensors).toBe(tensors);
});

describe('ranks that share the base end with the bytes of one', () => {
  it.each(FAMILIES)('%s, with LoRA, its dropout and biases', (family) =>
    expectSameBytes({ family }, family === 'llama' ? [2, 3, 4] : [2]),
  );

  it.each<[string, Run]>([
    ['NF4 with quantised maxima', { format: 'nf4', doubleQuantization: true }],
    ['bfloat16', { format: 'bf16' }],
    ['matrices stored the other way round, in NF4', { format: 'nf4', family: 'gpt2' }],
    ['matrices stored the other way round, in float16', { format: 'f16', family: 'gpt2' }],
    [
      'DoRA, which reads weights while it is attached',
      { method: () => lora({ rank: 2, dora: true, targets: 'all-linear' }) },
    ],
    ['prompt tuning', { method: () => promptTuning({ virtualTokens: 3 }) }],
    ['everything trained', { method: () => methodNamed('full') }],
    ['AdaLoRA, whose loss reads all blocks', { method: adaloraMethod }],
    ['a mapping that all blocks share', { method: () => methodNamed('unipelt'), family: 'bert' }],
    ['a tied table that trains', { method: tables, family: 'llama-tied' }],
    ...(isLong
      ? ([
          ['NF4', { format: 'nf4' }],
          ['8 bits', { format: 'int8' }],
          ['prefix tuning', { method: () => prefixTuning({ virtualTokens: 3 }) }],
          ['a trained table', { method: tables }],
        ] satisfies [string, Run][])
      : []),
    ['checkpointed blocks', { changes: { options: { maxSteps: 2, gradientCheckpointing: true } } }],
  ])('%s', async (_, run) => {
    await expectSameBytes(run);
  });

  it.each(['llama', 'gpt2'])('a language model: %s', async (family) => {
    await expectSameBytes({
      family,
      isText: true,
      head: { kind: 'causal-lm' },
      format: 'nf4',
      method: () => lora({ rank: 2, dropout: 0.2, targets: 'all-linear' }),
    });
  });
});

it('ranks that share the base end within 1e-5 of one where blocks share what trains', async () => {
  const alone = await onShards({ family: SHARING })();
  for (const { bytes } of await runLocalRanks(2, onShards({ family: SHARING })))
    expect(distance(bytes, alone.bytes)).toBeLessThanOrEqual(1e-5);
});

describe('ranks that share the base', () => {
  it('score it together, stop early, pick a soup, and are resumed on one rank and on three', async () => {
    const options = { maxSteps: 6 };
    const alone = await onShards({ isScored: true, changes: { options } })();
    const store = memoryCheckpointStore();
    const stopped = { options: { maxSteps: 2, select: 'last' as const } };
    await runLocalRanks(2, onShards({ isScored: true, store, changes: stopped }));
    const rest = { options: { ...options, resume: true } };
    const again = async () => ({ isScored: true, store: await copyOf(store), changes: rest });
    const shared = await runLocalRanks(3, onShards(await again()));
    for (const { bytes, result } of [...shared, await onShards(await again())()]) {
      expect(bytes).toEqual(alone.bytes);
      expect(result.selected).toEqual(alone.result.selected);
      expect(result.best).toEqual(alone.result.best);
    }
  });

  it('keep a part each, and no more of a block that is done', async () => {
    const [first, second] = await runLocalRanks(2, async (collective) => {
      const model = await stageModel('llama', { shardRanks: collective });
      try {
        const { shards } = model.weights;
        const site = model.description.sites.find(
          ({ kind, layer }) => kind === 'linear' && layer === 1,
        );
        const name = (site as { weight: string }).weight;
        const seen: string[] = [];
        const look = (): void => {
          try {
            model.readBaseParameter(name).dispose();
            seen.push('whole');
          } catch (error) {
            seen.push((error as { code: string }).code);
          }
        };
        await shards!.inOrder([0, 1, 1, 2], look);
        return { seen, heldBytes: model.weights.byteLength };
      } finally {
        model.dispose();
      }
    });
    const elsewhere = 'PEFT_WEIGHT_ELSEWHERE';
    expect(first!.seen).toEqual([elsewhere, 'whole', 'whole', elsewhere]);
    expect(second).toEqual(first);
  });

  it.each([1, 3])('leave no tensor when the loss of micro-batch %d fails', async (failing) => {
    let calls = 0;
    const own = classification({ classes: 2 });
    const task: typeof own = {
      ...own,
      loss: (output, batch) => {
        if ((calls += 1) === failing) throw new Error('a loss that fails');
        return own.loss(output, batch);
      },
    };
    await expect(runLocalRanks(2, onShards({ changes: { task } }))).rejects.toThrow(
      'a loss that fails',
    );
  });
});

describe('what ranks that share the base refuse', () => {
  it('families by name', async () => {
    const refusals = await Promise.all(
      REFUSED.map((family) =>
        runLocalRanks(
          2,
          onShards({ family, head: family === 't5' ? { kind: 'seq2seq-lm' } : undefined }),
        ).catch((error: Error) => error.message),
      ),
    );
    expect(refusals).toMatchInlineSnapshot(`
      [
        "albert: ranks cannot share its frozen weights block by block: its 4 blocks share the weights of 1.
        hint: leave out --shard-base; ranks can share its steps without",
        "t5: ranks cannot share its frozen weights block by block: its decoder reads the states of its encoder.
        hint: leave out --shard-base; ranks can share its steps without",
        "mixtral: ranks cannot share its frozen weights block by block: beside their states, its blocks make logits of routers, which the loss reads.
        hint: leave out --shard-base; ranks can share its steps without",
      ]
    `);
  });

  it('a start that replaces weights', async () => {
    await expect(
      runLocalRanks(2, onShards({ method: () => lora({ rank: 2, init: 'pissa' }) })),
    ).rejects.toMatchObject({ code: 'PEFT_WEIGHT_ELSEWHERE' });
  });

  it('a task that runs the model before a step, an engine on a device, and other ranks', async () => {
    const task = { ...classification({ classes: 2 }), prepare: () => Promise.resolve([]) };
    await expect(runLocalRanks(2, onShards({ changes: { task } as never }))).rejects.toMatchObject({
      code: 'PEFT_SHARDS_UNSUPPORTED',
    });
    await expect(
      runLocalRanks(2, onShards({ changes: { collective: SINGLE_RANK } })),
    ).rejects.toMatchObject({ code: 'PEFT_STAGE_RANKS' });
    const device = actAsDevice(await tinyEngine());
    try {
      await expect(runLocalRanks(2, onShards({}))).rejects.toMatchObject({
        code: 'PEFT_SHARDS_UNSUPPORTED',
      });
    } finally {
      device.restore();
    }
  });
});
