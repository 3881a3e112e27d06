/**
 * What the example of preferences begins with: sets of four letters, each letter a token
 * of its own, and a tiny Llama that has learnt to answer with letters of its prompt, but not with which.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import {
  createTrainEventBus,
  describeModel,
  loadModel,
  randomWeights,
  type Model,
  type ModelBatch,
} from '@peft/core';
import {
  completionData,
  loadChatTemplate,
  loadTokenizer,
  permutation,
  type Completion,
} from '@peft/data';
import { generate, generationDefaults } from '@peft/generation';
import { fullFineTuning } from '@peft/methods';
import { llama } from '@peft/models';
import { adamw, cosineSchedule } from '@peft/optim';
import { chooseEngine, type EngineName } from '@peft/predictor';
import { promptTokens } from '@peft/preference';
import {
  causalLanguageModel,
  createBatchOrder,
  plannedSteps,
  train,
  type Task,
  type TrainingData,
} from '@peft/trainer';

const folder = fileURLToPath(new URL('../instruct/model', import.meta.url));
const config = JSON.parse(readFileSync(`${folder}/config.json`, 'utf8')) as Record<string, unknown>;
/** Those that are a token with the blank in front of them, in the order of the alphabet. */
const LETTERS = [...'abcdefghiklmnprstuw'];

export const tokenizer = loadTokenizer(folder);
/** How texts become tokens. */
export const texts = {
  tokenizer,
  template: () => loadChatTemplate(folder, tokenizer),
  maxLength: 32,
};

export const written = (letters: readonly string[]): string =>
  letters.map((letter) => ` ${letter}`).join('');

let seed = 0;
/** In another order each time; the same in each run. */
export const shuffled = <T>(list: readonly T[]): T[] =>
  [...permutation(list.length, (seed += 1))].map((i) => list[i]!);

/** All 3,876 sets of four letters, each in the order of the alphabet, in a random order. */
export function letterSets(): string[][] {
  const sets = (size: number, from: number): string[][] =>
    size === 0
      ? [[]]
      : LETTERS.slice(from).flatMap((letter, i) =>
          sets(size - 1, from + i + 1).map((others) => [letter, ...others]),
        );
  return shuffled(sets(4, 0));
}

/** Trains what is on the model, and says so. */
export async function learn<B extends ModelBatch>(
  model: Model,
  task: Task<B>,
  data: TrainingData<B>,
  settings: {
    readonly learningRate: number;
    readonly epochs?: number;
    readonly maxSteps?: number;
    readonly batchSize?: number;
    /** Of a step's metrics. */
    readonly tell?: readonly string[];
  },
): Promise<void> {
  const { learningRate, epochs, maxSteps, batchSize = 64, tell = [] } = settings;
  const order = createBatchOrder({ lengths: data.lengths, batchSize, seed: 1 });
  const bus = createTrainEventBus();
  bus.listen((event) => {
    if (event.type !== 'step/completed' || event.step % 20 !== 0) return;
    const metrics = tell.map((name) => `  ${name} ${event.metrics![name]!.toFixed(3)}`);
    console.log(`step ${event.step}  loss ${event.loss.toFixed(3)}${metrics.join('')}`);
  });
  const options = { epochs, maxSteps };
  await train({
    model,
    task,
    data,
    order,
    bus,
    optimizer: adamw(),
    schedule: cosineSchedule({
      learningRate,
      warmupSteps: 10,
      totalSteps: plannedSteps(order, options),
    }),
    options: { ...options, dropout: false },
  });
}

/** A Llama of random weights that has learnt these rows. */
export async function trainWriter(
  rows: readonly Completion[],
  { engine: name, epochs }: { readonly engine: string; readonly epochs: number },
): Promise<Model> {
  const { engine } = await chooseEngine({ name: name as EngineName });
  const head = { kind: 'causal-lm' } as const;
  const description = describeModel(llama, llama.parseConfig(config), head);
  const model = loadModel(
    llama,
    config,
    randomWeights(description, { standardDeviation: 0.05 }),
    engine,
    { head },
  );
  model.addAdapter('default', fullFineTuning());
  const data = await completionData(rows, tokenizer, { maxLength: texts.maxLength });
  await learn(model, causalLanguageModel(), data, { learningRate: 4e-3, epochs });
  model.mergeAndUnload();
  return model;
}

/** The likeliest answers. */
export async function answers(model: Model, prompts: readonly string[]): Promise<string[]> {
  const made = await generate(
    model,
    prompts.map((prompt) => promptTokens(prompt, texts)),
    { ...generationDefaults({ config, tokenizer }), maxNewTokens: 8 },
  );
  return made.map(({ ids }) => tokenizer.decode(ids, { skipSpecialTokens: true }));
}
