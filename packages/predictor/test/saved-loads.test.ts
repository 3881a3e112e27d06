/**
 * What `fit` saves loads: for each method, family and task of the registries that go together, fit,
 * then load, predict and evaluate in a fresh process. A sample of them here; all with
 * `PEFT_LONG_TESTS=1`, or of these the n-th of m parts with `PEFT_PART=n/m`.
 */
import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { loadTokenizer } from '@peft/data';
import { PeftError } from '@peft/errors';
import { methodNamed, methodNames } from '@peft/methods';
import { architectures } from '@peft/models';
import { afterAll, beforeAll, expect, it } from 'vitest';
import {
  PeftPredictor,
  readsLabels,
  TASK_NAMES,
  usesAutogluonLayers,
  type TaskName,
} from '../src/index.js';
import { answersOf, type Answers } from './answers.js';
import type { LoadedCase, SavedCase } from './load-in-child.js';
import { smallModel } from './small-model.js';

const isLong = process.env['PEFT_LONG_TESTS'] === '1';
const [PART, PARTS] = (process.env['PEFT_PART'] ?? '1/1').split('/').map(Number) as [
  number,
  number,
];
const fixtures = new URL('../../testing/fixtures/models/', import.meta.url);
const NOUNS = ['cat', 'dog', 'bird', 'fish', 'horse', 'mouse', 'sheep', 'goat'];
const ROWS: Readonly<Record<TaskName, readonly Readonly<Record<string, unknown>>[]>> = {
  classification: NOUNS.map((noun, i) => ({
    text: `${noun} is ${i % 2 ? 'good' : 'bad and noisy'}`,
    label: i % 2 ? 'pos' : 'neg',
  })),
  regression: NOUNS.map((noun, i) => ({ text: `${noun} of ${'many '.repeat(i)}`, label: i / 2 })),
  'multi-label-classification': NOUNS.map((noun, i) => ({
    text: `${noun} is ${i % 2 ? 'good' : 'bad and noisy'}`,
    label: [...(i % 2 ? ['pos'] : []), ...(i % 3 ? ['third'] : [])],
  })),
  'token-classification': NOUNS.map((noun, i) => ({
    tokens: [noun, ...Array.from({ length: i + 1 }, () => 'of')],
    tags: ['B-A', ...Array.from({ length: i + 1 }, () => 'O')],
  })),
  'causal-lm': NOUNS.map((noun) => ({ text: `${noun} sleeps` })),
  seq2seq: NOUNS.map((noun) => ({ source: `two ${noun}`, target: `${noun} ${noun}` })),
  ranking: NOUNS.flatMap((noun) => [
    { query: noun, document: `a ${noun} here`, relevance: 1 },
    { query: noun, document: 'of London', relevance: 0 },
  ]),
  embeddings: NOUNS.map((noun) => ({ anchor: noun, positive: `a ${noun} here` })),
  preference: NOUNS.map((noun) => ({
    prompt: `the ${noun}`,
    chosen: ' is good',
    rejected: ' is bad',
  })),
  grpo: NOUNS.map((noun) => ({ prompt: `the ${noun}` })),
  reward: NOUNS.map((noun) => ({
    prompt: `the ${noun}`,
    chosen: ' is good',
    rejected: ' is bad',
  })),
};
/** Options that a method has no default for, or that are too wide for the fixtures. */
const OPTIONS: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  adalora: { totalSteps: 100 },
  compacter: { phmDim: 2 },
  'compacter++': { phmDim: 2 },
  xlora: { adapters: [{ rank: 2 }, { rank: 3 }], trainableAdapters: true },
};
/** Tokens of the words that every task's rows have, whatever the family cuts them into. */
const wordIds = (family: string): readonly number[] => [
  ...new Set(loadTokenizer(modelOf(family)).ids(`${NOUNS.join(' ')} of`)),
];
const optionsOf = (method: string, family: string): Readonly<Record<string, unknown>> =>
  method === 'trainable-tokens' ? { tokenIndices: wordIds(family) } : (OPTIONS[method] ?? {});
/** Methods that need another adapter first. */
const NEEDS_ANOTHER = ['adapter-fusion'];
/** A method may refuse a family or a task by name, before training: that is no failure. */
const REFUSALS = [
  'PEFT_METHOD_UNSUPPORTED',
  'PEFT_NOTHING_TRAINS',
  'PEFT_MODEL_HEAD',
  'PEFT_TARGET_NOT_FOUND',
  'PEFT_TRAIN_NO_GRADIENT',
  'PEFT_CONFIG_INVALID',
  'PEFT_CONFIG_UNSUPPORTED',
  'PEFT_FORMAT_UNSUPPORTED',
  // some fixtures are classifiers of another number of classes
  'PEFT_WEIGHT_SHAPE',
];

/** The fixture of each family that has one; `gemma3_text` lies in a folder of a shorter name. */
const FAMILIES: readonly string[] = architectures
  .flatMap(({ modelTypes }) => modelTypes)
  .map((type) => type.replace(/_text$/, ''))
  .filter((folder) => existsSync(new URL(`${folder}/config.json`, fixtures)));

interface Combination {
  readonly family: string;
  readonly task: TaskName;
  readonly method: string;
}
const ALL: readonly Combination[] = FAMILIES.flatMap((family) =>
  TASK_NAMES.flatMap((task) =>
    methodNames()
      .filter((method) => !NEEDS_ANOTHER.includes(method))
      .map((method) => ({ family, task, method })),
  ),
);
/**
 * Those that once were saved and could not be loaded, methods that run beside or ahead of a model, and
 * every 397th beside them.
 */
const SAMPLE: readonly Combination[] = [
  { family: 'distilbert', task: 'classification', method: 'lora' },
  { family: 'llama', task: 'classification', method: 'ia3_bias' },
  { family: 'gpt2', task: 'regression', method: 'lora' },
  { family: 'qwen3', task: 'causal-lm', method: 'ia3_bias' },
  { family: 'llama', task: 'token-classification', method: 'bit_fit' },
  { family: 'llama', task: 'regression', method: 'unilora' },
  { family: 'llama', task: 'multi-label-classification', method: 'ia3_bias' },
  { family: 'bert', task: 'multi-label-classification', method: 'lora' },
  { family: 'distilbert', task: 'ranking', method: 'ia3_bias' },
  { family: 'bert', task: 'classification', method: 'xlora' },
  { family: 'llama', task: 'causal-lm', method: 'xlora' },
  { family: 'bert', task: 'classification', method: 'ladder' },
  { family: 'qwen3', task: 'causal-lm', method: 'ladder' },
  { family: 't5', task: 'seq2seq', method: 'ladder' },
  { family: 'bert', task: 'classification', method: 'controlnet' },
  { family: 'llama', task: 'causal-lm', method: 'controlnet' },
  { family: 'llama', task: 'causal-lm', method: 'shadow' },
  { family: 'llama', task: 'embeddings', method: 'shadow' },
  ...ALL.filter((_, i) => i % 397 === 5),
];

let work: string;
beforeAll(() => {
  work = mkdtempSync(join(tmpdir(), 'peft-saved-'));
});
afterAll(() => rmSync(work, { recursive: true, force: true }));

const models = new Map<string, string>();
function modelOf(family: string): string {
  const folder = models.get(family) ?? smallModel(family, join(work, `model-${family}`));
  models.set(family, folder);
  return folder;
}

/** @param steps 0: as it is before training */
async function fitOf(
  { family, task, method }: Combination,
  path: string | undefined,
  steps: number,
): Promise<PeftPredictor> {
  const predictor = new PeftPredictor({
    task,
    label: readsLabels(task) ? 'label' : undefined,
    path,
    hyperparameters: {
      'model.hf_text.checkpoint_name': modelOf(family),
      'model.hf_text.max_text_len': 24,
      'model.hf_text.pooling_mode': 'mean',
      'model.hf_text.max_target_len': 4,
      'optim.lr': steps === 0 ? 1e-30 : learningRateOf(task),
      'optim.warmup_steps': 0,
      'optim.max_steps': Math.max(1, steps),
      'optim.top_k': 1,
      'env.batch_size': 4,
      'env.per_gpu_batch_size': 4,
      'env.engine': 'portable',
    },
  });
  try {
    const layers = usesAutogluonLayers(task) ? 'autogluon' : 'own';
    await predictor.fit(ROWS[task] as never, {
      tuningData: ROWS[task] as never,
      rewards:
        task === 'grpo'
          ? [{ name: 'length', score: ({ completion }) => completion.length }]
          : undefined,
      method: methodNamed(method, optionsOf(method, family), { layers }),
    });
    return predictor;
  } catch (error) {
    predictor.dispose();
    throw error;
  }
}

/** Rewards move greedy texts, which are all that is compared of them, less than labels move scores. */
const learningRateOf = (task: TaskName): number => (task === 'grpo' ? 0.3 : 2e-2);

const untrained = new Map<string, Answers>();
async function untrainedOf({ family, task }: Combination): Promise<Answers> {
  const key = `${family} ${task}`;
  const known = untrained.get(key);
  if (known) return known;
  const predictor = await fitOf({ family, task, method: 'lora' }, undefined, 0);
  const answers = await answersOf(predictor, ROWS[task]);
  predictor.dispose();
  untrained.set(key, answers);
  return answers;
}

const EXTENT = isLong ? `every (part ${PART} of ${PARTS})` : 'a sample of every';

const different = (answers: readonly unknown[]): number =>
  new Set(answers.map((answer) => JSON.stringify(answer))).size;

it(
  `what fit saves loads in a fresh process, of ${EXTENT} method, family and task`,
  { timeout: isLong ? 14_400_000 : 240_000 },
  async () => {
    const combinations = isLong ? ALL.filter((_, i) => i % PARTS === PART - 1) : SAMPLE;
    const fitted: { readonly name: string; readonly answers: Answers; readonly base: Answers }[] =
      [];
    const saved: SavedCase[] = [];
    const refused: string[] = [];
    const broken: string[] = [];
    for (const combination of combinations) {
      const { family, task, method } = combination;
      const name = `${family} ${task} ${method}`;
      const folder = join(work, name.replaceAll(' ', '-'));
      try {
        const predictor = await fitOf(combination, folder, 6);
        const answers = await answersOf(predictor, ROWS[task]);
        predictor.dispose();
        fitted.push({ name, answers, base: await untrainedOf(combination) });
        saved.push({ folder, rows: ROWS[task] });
      } catch (error) {
        const isRefusal = error instanceof PeftError && REFUSALS.includes(error.code);
        (isRefusal ? refused : broken).push(isRefusal ? name : `${name}: ${String(error)}`);
      }
    }
    // of the sample each is refused or saved; that most are refused would make the test idle
    expect(saved.length, refused.join()).toBeGreaterThan(combinations.length / 4);

    const list = join(work, 'saved.json');
    writeFileSync(list, JSON.stringify(saved));
    const { stdout } = await promisify(execFile)(
      process.execPath,
      [
        '--conditions=@peft/source',
        '--import',
        'tsx',
        fileURLToPath(new URL('load-in-child.ts', import.meta.url)),
        list,
      ],
      { maxBuffer: 1 << 28 },
    );
    const loaded = stdout
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line) as LoadedCase);
    expect(loaded).toHaveLength(saved.length);
    const failures = fitted.flatMap(({ name, answers, base }, i) => {
      const each = loaded[i]!;
      if ('error' in each) return [`${name}: cannot be loaded: ${each.error}`];
      const problems = [
        JSON.stringify(each) !== JSON.stringify(answers) && 'answers otherwise once loaded',
        JSON.stringify(each) === JSON.stringify(base) && 'answers as the untrained base does',
        different(each.answers) < 2 && 'gives every input the same answer',
      ];
      return problems.flatMap((problem) => (problem ? [`${name}: ${problem}`] : []));
    });
    process.stdout.write(
      `${saved.length} of ${combinations.length} combinations fitted and loaded, ` +
        `${refused.length} refused by name\n`,
    );
    expect([...broken, ...failures]).toEqual([]);
  },
);
