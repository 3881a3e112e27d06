/**
 * A tiny Llama that writes four letters in any order learns from pairs of answers which order is asked
 * for, that of the alphabet ("Sort") or its reverse ("Back"): DPO with LoRA. Win rate and answers are of
 * letters that no pair had, and that the model has not seen together before. Nothing is downloaded.
 *
 *     node tools/run-source.mjs examples/preference/preference.ts
 *     node tools/run-source.mjs examples/preference/preference.ts --loss ipo --beta 0.3
 */
import { parseArgs } from 'node:util';
import type { Model } from '@peft/core';
import { lora } from '@peft/lora';
import { preference, preferenceData, type PreferenceRow } from '@peft/preference';
import { predict } from '@peft/trainer';
import { answers, learn, letterSets, shuffled, texts, trainWriter, written } from './letters.js';

const { values: flags } = parseArgs({
  options: {
    engine: { type: 'string', default: process.env['PEFT_ENGINE'] ?? 'auto' },
    loss: { type: 'string', default: 'sigmoid' },
    beta: { type: 'string', default: '0.1' },
    pairs: { type: 'string', default: '2048' },
    test: { type: 'string', default: '400' },
    base: { type: 'string', default: '4' },
    epochs: { type: 'string', default: '6' },
    likelihood: { type: 'string', default: '1' },
    rate: { type: 'string', default: '2e-3' },
  },
});

// 1. Data: pairs of a prompt, its letters in the order that is asked for, and in another order.
const sets = letterSets();
const held = sets.slice(0, Number(flags.test));
const others = sets.slice(held.length);
const promptOf = (letters: readonly string[], word: string): string =>
  `${word}${written(shuffled(letters))}:`;
const pairOf = (letters: readonly string[], row: number): PreferenceRow => {
  const backwards = [...letters].reverse();
  const [right, wrong] = row % 2 === 0 ? [letters, backwards] : [backwards, letters];
  const chosen = written(right);
  const other = written(shuffled(letters));
  return {
    prompt: promptOf(letters, row % 2 === 0 ? 'Sort' : 'Back'),
    chosen,
    rejected: other === chosen ? written(wrong) : other,
  };
};
const test = held.map(pairOf);
const testData = await preferenceData(test, texts);
const pairs = await preferenceData(others.slice(0, Number(flags.pairs)).map(pairOf), texts);

// 2. A base that answers with the letters of its prompt, in any order.
const model = await trainWriter(
  others.map((letters, row) => ({
    prompt: promptOf(letters, row % 2 === 0 ? 'Sort' : 'Back'),
    completion: written(shuffled(letters)),
  })),
  { engine: flags.engine, epochs: Number(flags.base) },
);
await say('before', model);

// 3. Preferences: the reference is the same base without LoRA, and the likelihood of the chosen answers
//    counts, too (RPO).
model.addAdapter('default', lora({ rank: 16, alpha: 32, targets: 'all-linear' }));
const task = preference({
  loss: flags.loss,
  beta: Number(flags.beta),
  // DPO alone lowers both answers of a pair, one more than the other: what it writes then is neither
  likelihoodWeight: Number(flags.likelihood),
});
await learn(model, task, pairs, {
  learningRate: Number(flags.rate),
  epochs: Number(flags.epochs),
  tell: ['rewards/accuracies', 'rewards/margins'],
});
await say('after', model);
model.dispose();

/** How often the better answer is the likelier one, and what the model itself writes. */
async function say(when: string, asked: Model): Promise<void> {
  // without a reference a reward is β·ln π of the answer
  const { predictions } = await predict(asked, preference({ loss: 'cpo' }), testData);
  const wins = predictions.filter(
    ({ chosenReward, rejectedReward }) => chosenReward > rejectedReward,
  );
  const made = await answers(
    asked,
    test.map(({ prompt }) => prompt as string),
  );
  const share = (is: (answer: string, wanted: string) => boolean): string =>
    (
      made.filter((answer, row) => is(answer, test[row]!.chosen as string)).length / made.length
    ).toFixed(2);
  const sorted = (text: string): string => [...text].sort().join('');
  console.log(
    `${when}: win rate ${(wins.length / test.length).toFixed(2)}, answers with the letters of the ` +
      `prompt ${share((a, b) => sorted(a) === sorted(b))}, in order ${share((a, b) => a === b)}`,
  );
  console.log(`  ${test[0]!.prompt as string}${made[0]!}`);
}
