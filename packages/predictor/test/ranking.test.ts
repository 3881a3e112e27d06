import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { useTemporaryFolder } from '@peft/testing';
import { describe, expect, it } from 'vitest';
import { PeftPredictor } from '../src/index.js';
import { fixture, fitted, NOUNS, predictorOf } from './quick-tasks.js';

let folder: string;
useTemporaryFolder((path) => (folder = path));

const task = 'ranking' as const;
/** Whether a document says "good" is all that counts. */
const rows = NOUNS.slice(0, 4).flatMap((noun) => [
  { query: `who is the ${noun}`, document: `the ${noun} is good`, relevance: 1 },
  { query: `who is the ${noun}`, document: `a house of London`, relevance: 0 },
  { query: `who is the ${noun}`, document: `the ${noun} is bad`, relevance: 0 },
]);
const json = (path: string): Record<string, unknown> =>
  JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
const lora = { 'optim.peft': 'lora', 'env.batch_size': 2 } as const;

describe('rerankers', () => {
  it.each([
    ['pointwise', 24],
    ['margin', 12],
    ['list', 12],
  ] as const)('learn by the %s loss, rank, score and load', async (loss, epochs) => {
    const path = join(folder, loss);
    const { predictor } = predictorOf(task, 'bert', {
      path,
      hyperparameters: {
        ...lora,
        'env.batch_size': loss === 'pointwise' ? 3 : 2,
        'optim.val_check_interval': 1,
        'optim.patience': 100,
        'optim.lr_schedule': 'constant',
        'optim.max_epochs': epochs,
        'optim.ranking_loss': loss,
      },
    });
    await fitted(predictor, rows);
    expect(predictor.fitSummary()).toMatchObject({ metric: 'ndcg@10', validationScore: 1 });
    expect(await predictor.evaluate(rows, { metrics: ['ndcg@1', 'mrr', 'map'] })).toEqual({
      'ndcg@1': 1,
      mrr: 1,
      map: 1,
    });
    const documents = ['a house of London', 'the dog is good', 'the dog is bad'];
    const ranked = await predictor.rank('who is the dog', documents);
    expect(ranked[0]).toMatchObject({ index: 1, document: 'the dog is good' });
    expect(ranked.map(({ score }) => score)).toEqual(
      ranked.map(({ score }) => score).toSorted((a, b) => b - a),
    );
    const scores = await predictor.predict<number>(
      documents.map((document) => ({ query: 'who is the dog', document })),
    );
    for (const { index, score } of ranked) expect(score).toBe(scores[index]);
    if (loss === 'pointwise') expect(scores.every((score) => score > 0 && score < 1)).toBe(true);
    predictor.dispose();
    const loaded = await PeftPredictor.load(path, { engine: 'portable' });
    expect(await loaded.rank('who is the dog', documents, { topK: 1 })).toEqual([ranked[0]]);
    loaded.dispose();
  });

  it("keep the head of a CrossEncoder's folder, and save such a config", async () => {
    const model = join(folder, 'cross-encoder');
    cpSync(fixture('bert'), model, { recursive: true });
    const weights = readFileSync(join(model, 'model.safetensors'));
    writeFileSync(join(model, 'model.safetensors'), firstClassOnly(weights));
    const config = { ...json(join(model, 'config.json')), id2label: { 0: 'LABEL_0' } };
    writeFileSync(
      join(model, 'config.json'),
      JSON.stringify({ ...config, label2id: { LABEL_0: 0 } }),
    );
    const path = join(folder, 'tuned');
    const { predictor } = predictorOf(task, 'bert', {
      path,
      hyperparameters: {
        ...lora,
        'model.hf_text.checkpoint_name': model,
        'optim.lr': 1e-12,
        'optim.max_epochs': 1,
        'optim.ranking_loss': 'list',
      },
    });
    await fitted(predictor, rows);
    const made = await predictor.predict<number>([
      { query: 'who is the dog', document: 'the dog is good' },
      { query: 'who is the cat', document: 'a house' },
    ]);
    predictor.dispose();
    // transformers 5.17: the first logit of BertForSequenceClassification on tokenizer(query, document)
    made.forEach((score, i) => expect(score).toBeCloseTo([-0.6474236, -1.193763][i]!, 4));
    expect(json(join(path, 'model/config.json'))).toMatchObject({
      id2label: { 0: 'LABEL_0' },
      sentence_transformers: { activation_fn: 'torch.nn.modules.linear.Identity' },
    });
  });

  it('read a better and a worse document per row, and hold out whole queries', async () => {
    const { predictor, events } = predictorOf(task, 'bert', {
      hyperparameters: { ...lora, 'optim.max_epochs': 1, 'optim.ranking_loss': 'margin' },
    });
    await predictor.fit(
      NOUNS.map((noun) => ({ query: noun, positive: `a ${noun}`, negative: 'the house' })),
      { holdoutFraction: 0.3 },
    );
    expect(predictor.fitSummary()).toMatchObject({ trainingRows: 7, validationRows: 3 });
    expect(events.filter((event) => event.type === 'run/warned')).toEqual([]);
    predictor.dispose();
    const whole = predictorOf(task, 'bert', {
      hyperparameters: { ...lora, 'optim.max_epochs': 1 },
    });
    await whole.predictor.fit(rows, { holdoutFraction: 0.25 });
    expect(whole.predictor.fitSummary()).toMatchObject({ trainingRows: 9, validationRows: 3 });
    whole.predictor.dispose();
  });

  it('tell of pairs that are cut and of queries that teach nothing', async () => {
    const { predictor, events } = predictorOf(task, 'bert', {
      hyperparameters: {
        ...lora,
        'optim.max_epochs': 1,
        'optim.ranking_loss': 'list',
        'model.hf_text.max_text_len': 24,
      },
    });
    const more = [
      { query: 'alone', document: 'a dog', relevance: 1 },
      { query: 'who is the cat', document: 'the cat '.repeat(30), relevance: 0 },
    ];
    await predictor.fit([...rows, ...more], { tuningData: rows });
    const warning = events.find(
      (event) => event.type === 'run/warned' && event.message.startsWith('training data'),
    );
    expect(warning).toMatchObject({
      code: 'PEFT_ROWS_SKIPPED',
      message:
        'training data rows: 1 of 14 rows are left out, they have nothing to learn from (row 12); ' +
        '1 of 14 rows lose what is beyond 24 tokens (row 13).',
    });
    predictor.dispose();
  });

  it.each([
    [[{ query: 'a', document: 'b', relevance: 2 }], {}, 'has the relevance 2, and the pointwise'],
    [[{ query: 'a', document: 'b', relevance: 'x' }], {}, 'must have a relevance of at least 0'],
    [[{ query: 'a', document: 'b' }], {}, 'ranking learns from the columns query, document, rele'],
    [
      rows.filter(({ relevance }) => relevance === 1),
      { 'optim.ranking_loss': 'list' as const },
      'no query of rows has documents that differ in relevance',
    ],
    [
      rows.filter(({ relevance }) => relevance === 0),
      {},
      'ndcg@10 is not defined here: no query has a relevant document',
    ],
  ])('refuse bad rows by name (%#)', async (data, settings, message) => {
    const { predictor } = predictorOf(task, 'bert', { hyperparameters: { ...lora, ...settings } });
    await expect(fitted(predictor, data)).rejects.toThrow(message);
    predictor.dispose();
  });
});

describe('pairs of texts', () => {
  it('are classified as the tokeniser joins them', async () => {
    const pairs = NOUNS.slice(0, 8).map((noun, i) => ({
      first: `the ${noun}`,
      second: i % 2 ? `a good ${noun}` : 'a house',
      same: i % 2 ? 'yes' : 'no',
    }));
    const fit = async (isPair: boolean, model: string): Promise<Float64Array> => {
      const { predictor } = predictorOf('classification', model, {
        label: 'same',
        hyperparameters: {
          'optim.peft': 'bit_fit',
          'optim.max_epochs': 1,
          'optim.lr': 1e-12,
          'data.text_pairs': isPair,
        },
      });
      try {
        await fitted(predictor, pairs, { textColumns: ['first', 'second'] });
        return (await predictor.predictProba(pairs.slice(0, 1)))[0]!;
      } finally {
        predictor.dispose();
      }
    };
    // BERT's pairs are AutoGluon's joined texts; XLM-R has two separators between its texts
    expect(await fit(true, 'bert')).toEqual(await fit(false, 'bert'));
    expect(await fit(true, 'xlm-roberta')).not.toEqual(await fit(false, 'xlm-roberta'));
    const { predictor } = predictorOf('classification', 'bert', {
      label: 'same',
      hyperparameters: { 'data.text_pairs': true },
    });
    await expect(fitted(predictor, pairs, { textColumns: ['first'] })).rejects.toThrow(
      'data.text_pairs needs two text columns, rows has 1: first',
    );
    predictor.dispose();
  });
});

/** A safetensors file whose classifier has the first of its rows alone. */
function firstClassOnly(file: Buffer): Buffer {
  const size = Number(file.readBigUInt64LE());
  const header = JSON.parse(file.toString('utf8', 8, 8 + size)) as Record<
    string,
    { shape: number[]; data_offsets: [number, number] }
  >;
  for (const name of ['classifier.weight', 'classifier.bias']) {
    const { shape, data_offsets: place } = header[name]!;
    place[1] = place[0] + (place[1] - place[0]) / shape[0]!;
    shape[0] = 1;
  }
  const parts = Object.values(header)
    .filter((each) => 'data_offsets' in each)
    .map((each) => {
      const bytes = file.subarray(8 + size + each.data_offsets[0], 8 + size + each.data_offsets[1]);
      return { each, bytes };
    });
  let at = 0;
  for (const { each, bytes } of parts) each.data_offsets = [at, (at += bytes.length)];
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([length, text, ...parts.map(({ bytes }) => bytes)]);
}
