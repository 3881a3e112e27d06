import * as tf from '@tensorflow/tfjs';
import { adalora } from '@peft/adalora';
import { bitfit } from '@peft/bitfit';
import { combineMethods, type Collective, type HeadOptions, type MethodSpec } from '@peft/core';
import { lora } from '@peft/lora';
import { methodNamed } from '@peft/methods';
import { adamw } from '@peft/optim';
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
import { copyOf, REFUSED, stageModel, stageOf, STAGE_CONFIGS, texts } from './stage-models.js';
import { distance } from './adapter-distance.js';
import {
  adapterBytes,
  tinyData,
  tinyEngine,
  tinyOrder,
  tinyRun,
  tinyValidation,
} from './tiny-run.js';

/** Tried on three stages, too. */
const THREE = ['llama', 'deberta-v2'];
/** Blocks read trained parameters of other stages. */
const SHARING = ['mpnet', 'deberta-v2'];

const dora = (): MethodSpec => lora({ rank: 2, dora: true, targets: 'all-linear' });
const tables = (): MethodSpec =>
  lora({ rank: 2, targets: 'all-linear', modulesToSave: ['embed_tokens'] });
const adaloraMethod = (): MethodSpec =>
  adalora({ initialRank: 3, targetRank: 1, totalSteps: 8, initialSteps: 1, finalSteps: 3 });
const loraMethod = (): MethodSpec =>
  combineMethods('lora_bias', lora({ rank: 2, dropout: 0.2, targets: 'all-linear' }), bitfit());

interface Run {
  readonly family?: string;
  readonly head?: HeadOptions;
  readonly method?: () => MethodSpec;
  readonly bits?: 16 | 32;
  readonly changes?: Partial<TrainRequest<ClassificationBatch>>;
  readonly isScored?: boolean;
  /** Trains to write on. */
  readonly isText?: boolean;
  readonly store?: CheckpointStore;
}

const onStages =
  (
    stages: number,
    { family = 'llama', head, method = loraMethod, bits, changes, store, ...run }: Run,
  ) =>
  async (collective?: Collective) => {
    const stage = collective && stageOf(collective, stages, bits);
    const model = await stageModel(family, { head, stage });
    try {
      model.addAdapter('default', method(), { seed: 7 });
      const order = tinyOrder(tinyData(), { batchSize: 7, microBatchSize: 2 });
      const { evaluate, validation } = run.isScored
        ? tinyValidation(model)
        : { evaluate: undefined, validation: undefined };
      const { request, events } = tinyRun(model, { order, collective, store, ...changes });
      const options = { maxSteps: 4, ...request.options, validation };
      const result = run.isText
        ? await train({ ...request, options, task: causalLanguageModel(), data: texts() })
        : await train({ ...request, options, evaluate });
      return { result, events, bytes: adapterBytes(model), heldBytes: model.weights.byteLength };
    } finally {
      model.dispose();
    }
  };

let tensors: number;
beforeEach(() => {
  tensors = tf.memory().numTensors;
});
afterEach(() => {
  expect(tf.memory().numTensors).toBe(tensors);
});

describe('stages end with the bytes of one rank', () => {
  it.each(Object.keys(STAGE_CONFIGS).filter((family) => !REFUSED.includes(family)))(
    '%s, with LoRA, its dropout and biases',
    async (family) => {
      // of a gradient that is rounding alone, as biases of keys have it, AdamW makes whole steps
      const changes = SHARING.includes(family) ? { optimizer: adamw({ epsilon: 1e-4 }) } : {};
      const alone = await onStages(1, { family, changes })();
      for (const stages of THREE.includes(family) ? [2, 3] : [2])
        for (const { bytes, result, heldBytes } of await runLocalRanks(
          stages,
          onStages(stages, { family, changes }),
        )) {
          expect(result.step).toBe(4);
          expect(heldBytes).toBeLessThan(alone.heldBytes);
          // their blocks share the norm or the table of relative positions
          if (SHARING.includes(family))
            expect(distance(bytes, alone.bytes)).toBeLessThanOrEqual(1e-5);
          else {
            expect(bytes).toEqual(alone.bytes);
            expect(result.loss).toBe(alone.result.loss);
          }
        }
    },
  );

  it.each<[string, () => MethodSpec]>([
    ['DoRA, which reads weights of other stages while it is attached', dora],
    ['prefix tuning', () => prefixTuning({ virtualTokens: 3 })],
    ['prompt tuning, whose rows go through all stages', () => promptTuning({ virtualTokens: 3 })],
    ['everything trained', () => methodNamed('full')],
    ['a trained table and output layer', tables],
  ])('%s', async (_, method) => {
    const head = { kind: 'pooled-linear', outputs: 2 } as const;
    const alone = await onStages(1, { method, head })();
    for (const { bytes } of await runLocalRanks(2, onStages(2, { method, head })))
      expect(bytes).toEqual(alone.bytes);
  });

  it('with groups of ranks that share the steps: two and four of two stages', async () => {
    const alone = await onStages(1, {})();
    for (const size of [4, 8])
      for (const { bytes } of await runLocalRanks(size, onStages(2, {})))
        expect(bytes).toEqual(alone.bytes);
  });

  it('with checks, early stopping and the greedy soup, resumed on one rank', async () => {
    const options = { maxSteps: 6 };
    const alone = await onStages(1, { isScored: true, changes: { options } })();
    const store = memoryCheckpointStore();
    const stopped = { options: { maxSteps: 2, select: 'last' as const } };
    await runLocalRanks(2, onStages(2, { isScored: true, store, changes: stopped }));
    const rest = { options: { ...options, resume: true } };
    const staged = await runLocalRanks(
      4,
      onStages(2, { isScored: true, store: await copyOf(store), changes: rest }),
    );
    for (const { bytes, result } of staged) {
      expect(bytes).toEqual(alone.bytes);
      expect(result.selected).toEqual(alone.result.selected);
      expect(result.best).toEqual(alone.result.best);
    }
    const whole = await onStages(1, {
      isScored: true,
      store: await copyOf(store),
      changes: rest,
    })();
    expect(whole.bytes).toEqual(alone.bytes);
  });
});

describe('stages end within 1e-5 of one rank', () => {
  it.each<[string, () => MethodSpec, string]>([
    ['AdaLoRA, whose loss reads all blocks', adaloraMethod, 'llama'],
    ['a mapping that all blocks share', () => methodNamed('unipelt'), 'bert'],
    ['a tied table that trains', tables, 'llama-tied'],
  ])('%s', async (_, method, family) => {
    const alone = await onStages(1, { method, family })();
    for (const { bytes } of await runLocalRanks(2, onStages(2, { method, family })))
      expect(distance(bytes, alone.bytes)).toBeLessThanOrEqual(1e-5);
  });

  it('and further away when states are rounded to 16 bits', async () => {
    const alone = await onStages(1, {})();
    const [rounded] = await runLocalRanks(2, onStages(2, { bits: 16 }));
    expect(rounded!.bytes).not.toEqual(alone.bytes);
    expect(Math.abs(rounded!.result.loss! / alone.result.loss! - 1)).toBeLessThan(0.01);
  });
});

describe('a language model in stages', () => {
  it.each(['llama', 'llama-tied', 'gpt2'])('has the bytes of one rank: %s', async (family) => {
    const method = (): MethodSpec => lora({ rank: 2, dropout: 0.2, targets: 'all-linear' });
    const run = { family, method, head: { kind: 'causal-lm' }, isText: true } as const;
    const alone = await onStages(1, run)();
    for (const { bytes, heldBytes } of await runLocalRanks(2, onStages(2, run))) {
      expect(bytes).toEqual(alone.bytes);
      expect(heldBytes).toBeLessThan(alone.heldBytes);
    }
  });
});

describe('stages on an engine whose memory is that of a device', () => {
  it.each<[string, 16 | 32]>([
    ['learn what they learn in host memory, and read nothing at once', 32],
    ['send states that are rounded to 16 bits', 16],
  ])('%s', async (_, bits) => {
    const [onHost] = await runLocalRanks(2, onStages(2, { bits, isScored: true }));
    const device = actAsDevice(await tinyEngine());
    try {
      for (const { bytes, result } of await runLocalRanks(
        2,
        onStages(2, { bits, isScored: true }),
      )) {
        expect(result.best!.score).toBeCloseTo(onHost!.result.best!.score, 5);
        expect(distance(bytes, onHost!.bytes)).toBeLessThanOrEqual(1e-5);
      }
    } finally {
      device.restore();
    }
  });
});

describe('a stage that fails', () => {
  it.each([1, 3])(
    'leaves no tensor on any rank: at the loss of micro-batch %d',
    async (failing) => {
      let calls = 0;
      const own = classification({ classes: 2 });
      const task: typeof own = {
        ...own,
        loss: (output, batch) => {
          if ((calls += 1) === failing) throw new Error('a loss that fails');
          return own.loss(output, batch);
        },
      };
      await expect(runLocalRanks(2, onStages(2, { changes: { task } }))).rejects.toThrow(
        'a loss that fails',
      );
    },
  );
});

describe('what stages refuse', () => {
  it('families by name', async () => {
    const refusals = await Promise.all(
      REFUSED.map((family) =>
        runLocalRanks(
          2,
          onStages(2, { family, head: family === 't5' ? { kind: 'seq2seq-lm' } : undefined }),
        ).catch((error: Error) => error.message),
      ),
    );
    expect(refusals).toMatchInlineSnapshot(`
      [
        "albert: it cannot be cut into 2 stages: its 4 blocks share the weights of 1.
        hint: leave out --pipeline; ranks can share its steps without",
        "t5: it cannot be cut into 2 stages: its decoder reads the states of its encoder.
        hint: leave out --pipeline; ranks can share its steps without",
        "mixtral: it cannot be cut into 2 stages: beside their states, its blocks make logits of routers, which the loss reads.
        hint: leave out --pipeline; ranks can share its steps without",
      ]
    `);
  });

  it('a method that changes its parameters where a block runs', async () => {
    await expect(
      runLocalRanks(2, onStages(2, { method: () => methodNamed('loreft') })),
    ).rejects.toMatchObject({ code: 'PEFT_RANKS_DIFFER' });
  });

  it('residual weights, which would lie on every rank', async () => {
    await expect(
      runLocalRanks(2, onStages(2, { method: () => lora({ rank: 2, init: 'pissa' }) })),
    ).rejects.toMatchObject({ code: 'PEFT_WEIGHT_ELSEWHERE' });
  });

  it('a task that runs the model before a step, and ranks that stages do not divide', async () => {
    const task = { ...classification({ classes: 2 }), prepare: () => Promise.resolve([]) };
    await expect(
      runLocalRanks(2, onStages(2, { changes: { task } as never })),
    ).rejects.toMatchObject({ code: 'PEFT_STAGE_UNSUPPORTED' });
    await expect(runLocalRanks(3, onStages(2, {}))).rejects.toMatchObject({
      code: 'PEFT_STAGE_RANKS',
    });
  });
});
