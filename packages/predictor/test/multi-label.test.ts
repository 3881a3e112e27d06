import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { useTemporaryFolder } from '@peft/testing';
import { describe, expect, it } from 'vitest';
import { PeftPredictor } from '../src/index.js';
import { fixture, fitted, NOUNS, predictorOf } from './quick-tasks.js';

let folder: string;
useTemporaryFolder((path) => (folder = path));

/** The first word decides one label, the last another; some rows have none. */
const rows = NOUNS.slice(0, 8).map((noun, i) => ({
  text: `${i % 2 ? 'good' : 'bad'} ${noun} ${i % 3 ? 'here' : 'there'}`,
  tags: [...(i % 2 ? ['good'] : []), ...(i % 3 ? ['here'] : [])],
}));
const task = 'multi-label-classification' as const;
const config = (path: string): Record<string, unknown> =>
  JSON.parse(readFileSync(join(path, 'config.json'), 'utf8')) as Record<string, unknown>;

describe('rows of several labels', () => {
  it('are learnt, scored, predicted, saved and loaded', async () => {
    const path = join(folder, 'tags');
    const { predictor } = predictorOf(task, 'bert', {
      path,
      label: 'tags',
      evalMetric: 'f1_micro',
      hyperparameters: { 'optim.peft': 'lora', 'optim.max_epochs': 12 },
    });
    await fitted(predictor, rows);
    expect(predictor.classLabels).toEqual(['good', 'here']);
    expect(predictor.label).toBe('tags');
    expect(predictor.fitSummary().validationScore).toBe(1);
    const predictions = await predictor.predict<string[]>(rows);
    expect(predictions).toEqual(rows.map(({ tags }) => tags));
    const probabilities = await predictor.predictProba(rows.slice(0, 2));
    expect(probabilities[1]!.every((value) => value > 0.5)).toBe(true);
    await expect(predictor.predictProba(rows, { asMulticlass: false })).rejects.toMatchObject({
      code: 'PEFT_PROBLEM_TYPE',
    });
    expect((await predictor.extractEmbedding(rows.slice(0, 1)))[0]).toHaveLength(48);
    const wanted = [
      'f1_macro',
      'f1_samples',
      'average_precision',
      'hamming_loss',
      'accuracy',
    ] as const;
    const scores = await predictor.evaluate(rows, { metrics: wanted });
    // a row without labels that is predicted to have none has F1 0/0, which counts as 0
    expect(scores).toEqual({
      f1_macro: 1,
      f1_samples: rows.filter(({ tags }) => tags.length > 0).length / rows.length,
      average_precision: 1,
      hamming_loss: 0,
      accuracy: 1,
    });
    predictor.dispose();
    const loaded = await PeftPredictor.load(path, { engine: 'portable' });
    expect(await loaded.predictProba(rows.slice(0, 2))).toEqual(probabilities);
    expect(loaded.label).toBe('tags');
    loaded.dispose();
    // the fixture is a classifier of three: its head cannot be that of two labels
    expect(config(join(path, 'model'))['problem_type']).toBeUndefined();
  });

  it("keep the head and the labels of transformers' multi-label checkpoints, and save such", async () => {
    const model = join(folder, 'tagger');
    cpSync(fixture('bert'), model, { recursive: true });
    const own = {
      problem_type: 'multi_label_classification',
      id2label: { 0: 'here', 1: 'old', 2: 'good' },
      label2id: { here: 0, old: 1, good: 2 },
    };
    writeFileSync(
      join(model, 'config.json'),
      JSON.stringify({ ...config(fixture('bert')), ...own }),
    );
    const path = join(folder, 'tuned');
    const { predictor } = predictorOf(task, 'bert', {
      path,
      label: 'tags',
      hyperparameters: {
        'model.hf_text.checkpoint_name': model,
        'optim.peft': 'lora',
        'optim.lr': 1e-12,
        'optim.max_epochs': 1,
      },
    });
    await fitted(predictor, rows);
    // no row has "old": its output stays where the checkpoint has it
    expect(predictor.classLabels).toEqual(['here', 'old', 'good']);
    const probabilities = await predictor.predictProba([{ text: 'good cat here' }]);
    predictor.dispose();
    // transformers 5.17 on the same folder: sigmoid of BertForSequenceClassification's logits
    [...probabilities[0]!].forEach((value, c) =>
      expect(value).toBeCloseTo([0.2616803, 0.5313723, 0.3893215][c]!, 5),
    );
    expect(config(join(path, 'model'))).toMatchObject(own);
  });

  it('come as lists, as texts with a separator, or as columns of 0 and 1: the same model', async () => {
    const made: Float64Array[][] = [];
    for (const [data, options] of [
      [rows, { label: 'tags' }],
      [
        rows.map(({ text, tags }) => ({ text, tags: tags.join('|') || null })),
        { label: 'tags', hyperparameters: { 'data.label_separator': '|' } },
      ],
      [
        rows.map(({ text, tags }) => ({
          text,
          good: Number(tags.includes('good')),
          here: Number(tags.includes('here')),
        })),
        { label: ['good', 'here'] },
      ],
    ] as const) {
      const { predictor } = predictorOf(task, 'bert', {
        ...options,
        hyperparameters: {
          'optim.peft': 'bit_fit',
          'optim.max_epochs': 1,
          ...('hyperparameters' in options ? options.hyperparameters : {}),
        },
      });
      await fitted(predictor, data);
      made.push(await predictor.predictProba([{ text: 'good cat here' }]));
      predictor.dispose();
    }
    expect(made[1]).toEqual(made[0]);
    expect(made[2]).toEqual(made[0]);
  });

  it('are noticed where no task is named, and refused where one label is wanted', async () => {
    const quick = { hyperparameters: { 'optim.peft': 'bit_fit', 'optim.max_epochs': 1 } } as const;
    const { predictor, events } = predictorOf(undefined, 'bert', { label: 'tags', ...quick });
    await fitted(predictor, rows, { textColumns: ['text'] });
    expect(predictor.task).toBe(task);
    expect(events.find((event) => event.type === 'run/warned')).toMatchObject({
      code: 'PEFT_LABEL_LIST',
      message:
        'the column "tags" holds several labels per row: the task is multi-label classification of 2 labels.',
    });
    predictor.dispose();
    const single = predictorOf('classification', 'bert', { label: 'tags', ...quick });
    await expect(fitted(single.predictor, rows)).rejects.toMatchObject({
      code: 'PEFT_LABEL_LIST',
      message: expect.stringContaining('classification gives each row one') as string,
    });
    single.predictor.dispose();
    const joined = ['a|b', 'b', 'a', 'a|b|c', 'c|b', 'a|c', 'c', 'b'];
    const warned = predictorOf('classification', 'bert', { label: 'tags', ...quick });
    await fitted(
      warned.predictor,
      rows.map(({ text }, i) => ({ text, tags: joined[i]! })),
    );
    expect(warned.events.find((event) => event.type === 'run/warned')).toMatchObject({
      hint: expect.stringContaining("--label-separator '|'") as string,
    });
    warned.predictor.dispose();
  });

  it('may have thresholds that the validation rows decide, which are saved', async () => {
    const path = join(folder, 'thresholds');
    const { predictor } = predictorOf(task, 'bert', {
      path,
      label: 'tags',
      evalMetric: 'f1_macro',
      hyperparameters: {
        'optim.peft': 'bit_fit',
        'optim.lr': 1e-6,
        'optim.max_epochs': 1,
        'data.label_threshold': 'tuned',
      },
    });
    await fitted(predictor, rows);
    // hardly trained: the best F1 of a label is at least that of predicting it always
    const always = [4, 5].map((count) => (2 * count) / (8 + count));
    const { validationScore } = predictor.fitSummary();
    expect(validationScore).toBeGreaterThanOrEqual((always[0]! + always[1]!) / 2 - 1e-12);
    expect(await predictor.evaluate(rows)).toEqual({ f1_macro: validationScore });
    const predictions = await predictor.predict(rows);
    predictor.dispose();
    const record = JSON.parse(readFileSync(join(path, 'predictor.json'), 'utf8')) as {
      task: { thresholds: number[] };
    };
    expect(record.task.thresholds.every((value) => value > 0 && value < 1)).toBe(true);
    const loaded = await PeftPredictor.load(path, { engine: 'portable' });
    expect(await loaded.predict(rows)).toEqual(predictions);
    loaded.dispose();
    writeFileSync(
      join(path, 'predictor.json'),
      JSON.stringify({ ...record, task: { ...record.task, thresholds: [0.5, 2] } }),
    );
    await expect(PeftPredictor.load(path)).rejects.toMatchObject({
      code: 'PEFT_PREDICTOR_INVALID',
      message: expect.stringContaining(
        'task.thresholds must be a number between 0 and 1',
      ) as string,
    });
  });

  it('weigh positives by one number, or one for each label', async () => {
    const fit = async (weights: unknown): Promise<Float64Array> => {
      const { predictor } = predictorOf(task, 'bert', {
        label: 'tags',
        hyperparameters: {
          'optim.peft': 'bit_fit',
          'optim.max_epochs': 2,
          'optim.positive_weights': weights as number,
        },
      });
      try {
        await fitted(predictor, rows);
        return (await predictor.predictProba([{ text: 'cat' }]))[0]!;
      } finally {
        predictor.dispose();
      }
    };
    const [plain, heavy, first] = [await fit(null), await fit(50), await fit([50, 1])];
    expect(heavy.every((value, c) => value > plain[c]!)).toBe(true);
    expect(first[0]! - plain[0]!).toBeGreaterThan(first[1]! - plain[1]!);
    await expect(fit([1, 2, 3])).rejects.toMatchObject({
      code: 'PEFT_CONFIG_INVALID',
      message: expect.stringContaining('has 3 numbers, there are 2 labels: good, here') as string,
    });
    await expect(fit([1, 0])).rejects.toMatchObject({ code: 'PEFT_HYPERPARAMETER_INVALID' });
  });

  it('are refused as several columns where they cannot be', () => {
    expect(() => new PeftPredictor({ task: 'classification', label: ['a', 'b'] })).toThrow(
      'label is a list of 2 columns: "a", "b"',
    );
    expect(() => new PeftPredictor({ label: ['a', 'a'] })).toThrow(
      expect.objectContaining({ code: 'PEFT_CONFIG_INVALID' }),
    );
  });
});
