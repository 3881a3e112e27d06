/** Judges cases of texts and conversations for language models. */
import { existsSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import {
  loadChatTemplate,
  loadTokenizer,
  plainTextData,
  readTable,
  type TextTokenizer,
} from '@peft/data';
import { TextStream } from '@peft/generation';
import { loadLanguageModel } from '@peft/predictor';
import { filesOf, linesOf, modelsIn, must, type Judge } from './everyday-case.js';
import { fitCase } from './fit-case.js';

/** A model with a chat template: the case's own, else that of a case beside it. */
function chatModel(folder: string): string | undefined {
  const beside = readdirSync(dirname(folder), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => join(dirname(folder), name));
  return [folder, ...beside]
    .flatMap(modelsIn)
    .find((model) => existsSync(join(model, 'chat_template.jinja')));
}

const withChatModel =
  (judge: (folder: string, model: string) => Promise<string>): Judge =>
  async ({ folder }) => {
    const model = chatModel(folder);
    return model === undefined
      ? { why: 'neither the case nor one beside it has a model with a chat template' }
      : judge(folder, model);
  };

const chats = (folder: string): string[] => filesOf(folder, '.jsonl', '.json', '.parquet');

export const cutOffAnswers = withChatModel(async (folder, model) => {
  for (const path of chats(folder)) {
    const { summary, warnings, predictor } = await fitCase(path, { task: 'causal-lm' }, { model });
    predictor.dispose();
    const { rows } = await readTable(path);
    const told = warnings.filter((warning) => warning.startsWith('PEFT_ROWS_'));
    must(told.length === 2, `one warning each for training and validation, got ${told.length}`);
    const left = Number(/(\d+) of \d+ rows are left out/.exec(told[0]!)?.[1] ?? 0);
    must(summary.trainingRows === rows - left, `the summary says ${summary.trainingRows} rows`);
  }
  return 'rows without their answer are counted, and not among those that trained';
});

export const toolsColumn = withChatModel(async (folder, model) => {
  const losses = new Map<boolean, number>();
  for (const path of chats(folder)) {
    const hasTools = (await readTable(path)).has('tools');
    const { summary, predictor } = await fitCase(path, { task: 'causal-lm' }, { model });
    predictor.dispose();
    losses.set(hasTools, summary.trainingLoss!);
  }
  must(losses.has(true), 'no file has a column tools');
  must(losses.get(true) !== losses.get(false), 'the loss is that without tools');
  return 'tools reach the template';
});

export const toolCalls = withChatModel(async (folder, model) => {
  for (const path of chats(folder)) {
    const { summary, predictor } = await fitCase(path, { task: 'causal-lm' }, { model });
    predictor.dispose();
    must(summary.trainingRows > 0, 'no row trained');
  }
  return 'turns without content train';
});

export const turnEnd: Judge = async ({ folder }) => {
  const [model] = modelsIn(folder);
  if (model === undefined) return { why: 'the case has no model' };
  const language = await loadLanguageModel(model, { engine: 'portable' });
  try {
    const { endIds } = language.chatEnds();
    const added = endIds.filter((id) => !language.ends.endIds.includes(id));
    must(added.length > 0, "the template's turn end does not end generation");
    const token = language.tokenizer.idToToken(added[0]!)!;
    const stream = new TextStream(language.tokenizer, [token]);
    must(stream.push(added[0]!).isStopped, `the stop string ${token} has no effect`);
    loadChatTemplate(model, language.tokenizer);
    return `${token} ends generation, as a stop string, too`;
  } finally {
    language.dispose();
  }
};

export const doubledMarks: Judge = async ({ folder, models }) => {
  const tokenizer = loadTokenizer(modelsIn(folder)[0] ?? join(models, 'llama'));
  for (const path of chats(folder)) {
    const texts = (await readTable(path)).column('text').map(String);
    const data = await plainTextData(texts, tokenizer, { maxLength: 4096, packing: false });
    for (let row = 0; row < data.lengths.length; row += 1)
      must(marks(data.pack([row]).inputIds, tokenizer), `row ${row} of ${path} has a token twice`);
    must(data.marked.length > 0, 'no row is said to bring its tokens along');
  }
  return 'begin and end tokens stand once, and it is said';
};

function marks(ids: Int32Array, { specialIds: { bos, eos } }: TextTokenizer): boolean {
  const isDoubled = (first: number | undefined, second: number | undefined): boolean =>
    first === second && (first === bos || first === eos);
  return !isDoubled(ids[0], ids[1]) && !isDoubled(ids.at(-1), ids.at(-2));
}

export const positionLimit: Judge = async ({ folder, models }) => {
  const model = modelsIn(folder)[0] ?? join(models, 'gpt2');
  for (const path of filesOf(folder, '.jsonl', '.txt', '.csv')) {
    const { summary, predictor } = await fitCase(
      path,
      { task: 'causal-lm' },
      { model, hyperparameters: { 'model.hf_text.max_text_len': 100_000 } },
    );
    predictor.dispose();
    must(summary.trainingRows === linesOf(path).length, `${summary.trainingRows} rows trained`);
  }
  return 'long texts are cut into pieces and train';
};
