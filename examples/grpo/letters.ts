/** Prompts of three letters, each a token of its own, and a base that writes such letters, but in any order. */
import { cpSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describeModel, randomWeights } from '@peft/core';
import { permutation } from '@peft/data';
import { exportModel } from '@peft/export';
import { writeCheckpoint } from '@peft/hub';
import { llama } from '@peft/models';
import { PeftPredictor, type HyperparameterInput } from '@peft/predictor';

/** Those that are a token with the blank in front of them. */
const LETTERS = [...'abcdefghiklmnprstuw'];

let seed = 0;
/** In another order each time; the same in each run. */
const shuffled = <T>(list: readonly T[]): T[] =>
  [...permutation(list.length, (seed += 1))].map((i) => list[i]!);

const written = (letters: readonly string[]): string =>
  letters.map((letter) => ` ${letter}`).join('');

/** All 969 sets of three letters, in a random order. */
export const letterSets = (): string[][] =>
  shuffled(
    LETTERS.flatMap((first, i) =>
      LETTERS.slice(i + 1).flatMap((second, k) =>
        LETTERS.slice(i + k + 2).map((third) => [first, second, third]),
      ),
    ),
  );

export const promptOf = (letters: readonly string[]): { readonly prompt: string } => ({
  prompt: `Sort${written(shuffled(letters))}:`,
});

/** A Llama of random weights as a checkpoint, with the tokenizer of `examples/instruct`. */
export async function writeRandomModel(folder: string): Promise<void> {
  const source = fileURLToPath(new URL('../instruct/model', import.meta.url));
  cpSync(source, folder, { recursive: true });
  const config = JSON.parse(readFileSync(`${source}/config.json`, 'utf8')) as never;
  const store = randomWeights(
    describeModel(llama, llama.parseConfig(config), { kind: 'causal-lm' }),
    { standardDeviation: 0.05 },
  );
  await writeCheckpoint(
    folder,
    [...store.names()].map((name) => store.get(name)!),
  );
}

/**
 * Supervised training of all weights on random answers: it learns the form, three letters of the prompt,
 * and no order. The result is a checkpoint like any other.
 */
export async function writeBase(
  sets: readonly (readonly string[])[],
  {
    random,
    fitted,
    base,
    settings,
  }: {
    readonly random: string;
    readonly fitted: string;
    readonly base: string;
    readonly settings: Extract<HyperparameterInput, object>;
  },
): Promise<void> {
  const predictor = new PeftPredictor({ task: 'causal-lm', path: fitted });
  const rows = Array.from({ length: 6 }, () => sets).flatMap((all) =>
    all.map((letters) => ({ ...promptOf(letters), completion: written(shuffled(letters)) })),
  );
  try {
    await predictor.fit(rows.slice(64), {
      tuningData: rows.slice(0, 64),
      hyperparameters: {
        ...settings,
        'model.hf_text.checkpoint_name': random,
        'optim.peft': 'full',
        'optim.lr': 4e-3,
        'optim.max_epochs': 4,
        'env.batch_size': 64,
        'env.per_gpu_batch_size': 64,
      },
    });
  } finally {
    predictor.dispose();
  }
  await exportModel(fitted, { to: 'safetensors', output: base });
}
