/**
 * A tiny Llama that answers with the letters of its prompt in any order learns by GRPO to sort them:
 * it is shown no answer, a reward checks what it writes. Scores are of sets of letters that neither
 * its prompts nor the base's training had. Nothing is downloaded.
 *
 *     node tools/run-source.mjs examples/grpo/grpo.ts                      saves into a temporary folder
 *     node tools/run-source.mjs examples/grpo/grpo.ts my-folder --epochs 5
 */
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { PeftPredictor, type HyperparameterInput } from '@peft/predictor';
import { letterSets, promptOf, writeBase, writeRandomModel } from './letters.js';
import rightOrder from './right-order.js';

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    engine: { type: 'string', default: process.env['PEFT_ENGINE'] ?? 'auto' },
    epochs: { type: 'string', default: '30' },
    rate: { type: 'string', default: '6e-3' },
  },
});
const TEST = 265;
const TUNING = 64;
const folder = positionals[0] ?? mkdtempSync(join(tmpdir(), 'grpo-'));
const place = (name: string): string => join(folder, name);
const settings: HyperparameterInput = {
  'env.engine': flags.engine as 'auto', // fit refuses a name that it does not know
  'model.hf_text.max_text_len': 32,
  'model.hf_text.max_target_len': 6,
  'optim.val_check_interval': 1,
};

// 1. Prompts: three letters, held out by set.
const sets = letterSets();
const test = sets.slice(0, TEST).map(promptOf);
const others = sets.slice(TEST);

// 2. A base that has learnt the form of an answer, saved as a checkpoint.
await writeRandomModel(place('random'));
await writeBase(others, {
  random: place('random'),
  fitted: place('fitted'),
  base: place('base'),
  settings,
});

// 3. The rewards of what it writes, and nothing else: groups of 8 completions of 64 prompts a step.
const predictor = new PeftPredictor({ task: 'grpo', path: place('sorted') });
predictor.listen((event) => {
  if (event.type !== 'step/completed' || event.step % 20 !== 0) return;
  console.log(`step ${event.step}  reward ${event.metrics!['reward']!.toFixed(2)}`);
});
const prompts = others.map(promptOf);
await say('before', await PeftPredictor.load(place('fitted')));
await predictor.fit(prompts.slice(TUNING), {
  tuningData: prompts.slice(0, TUNING),
  rewards: [{ name: 'right order', score: rightOrder }],
  hyperparameters: {
    ...settings,
    'model.hf_text.checkpoint_name': place('base'),
    'optim.peft': 'lora',
    'optim.lora.r': 16,
    'optim.lora.alpha': 32,
    'optim.lr': Number(flags.rate),
    'optim.max_epochs': Number(flags.epochs),
    'optim.group_size': 8,
    'env.batch_size': 64,
    'env.per_gpu_batch_size': 64,
  },
});
predictor.dispose();

// 4. The saved adapter on held-out letters.
await say('after', await PeftPredictor.load(place('sorted')));

/** What a model answers, its likeliest text: in the form that was asked for, and right. */
async function say(when: string, asked: PeftPredictor): Promise<void> {
  const answers = await asked.predict<string>(test);
  asked.dispose();
  const sorted = (text: string): string => [...text.replaceAll(' ', '')].sort().join('');
  const share = (is: (answer: string, prompt: string) => boolean): string =>
    (
      answers.filter((answer, row) => is(answer, test[row]!.prompt)).length / answers.length
    ).toFixed(2);
  const [form, right] = [
    share((answer, prompt) => sorted(answer) === sorted(prompt.slice('Sort'.length, -1))),
    share((completion, prompt) => rightOrder({ prompt, completion }) === 1),
  ];
  console.log(`${when}: answers with the letters of the prompt ${form}, in order ${right}`);
  console.log(`  ${test[0]!.prompt}${answers[0]!}`);
}
