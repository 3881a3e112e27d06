import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { useTemporaryFolder } from '@peft/testing';
import { describe, expect, it } from 'vitest';
import { PeftPredictor, type PredictorOptions, type PredictorData } from '../src/index.js';
import { fitted, NOUNS, predictorOf } from './quick-tasks.js';

let folder: string;
useTemporaryFolder((path) => (folder = path));

/** Six rows of one class and two of another. */
const rows = NOUNS.slice(0, 8).map((noun, i) => ({
  text: `${i < 2 ? 'good' : 'bad'} ${noun}`,
  label: i < 2 ? 'pos' : 'neg',
  weight: i % 2 ? 1 : 3,
  tags: i < 2 ? ['a', 'b'] : ['b'],
  kind: 'x',
}));
const lora = { 'optim.peft': 'lora', 'optim.max_epochs': 2, 'env.batch_size': 4 } as const;

/** The probability of the second class after a fit. */
async function probabilityAfter(
  options: Partial<PredictorOptions>,
  data: PredictorData = rows,
  model = 'bert',
): Promise<number> {
  const { predictor } = predictorOf(options.task ?? 'classification', model, {
    label: 'label',
    ...options,
    hyperparameters: { ...lora, ...(options.hyperparameters as object | undefined) },
  });
  try {
    await fitted(predictor, data, { textColumns: ['text'] });
    return (await predictor.predictProba([{ text: 'cat' }]))[0]![1]!;
  } finally {
    predictor.dispose();
  }
}

describe('losses with weights', () => {
  it('do not depend on how a step is split into micro-batches', async () => {
    // Llama has no dropout, whose stream each micro-batch has its own of
    const after = (microBatch: number, isWeighted = true) =>
      probabilityAfter(
        {
          sampleWeight: isWeighted ? 'weight' : undefined,
          hyperparameters: {
            'optim.class_weights': isWeighted ? 'balanced' : null,
            'optim.focal_gamma': isWeighted ? 2 : 0,
            'optim.label_smoothing': isWeighted ? 0.1 : 0,
            'env.per_gpu_batch_size': microBatch,
          },
        },
        rows,
        'llama',
      );
    const [whole, split, plain] = [await after(4), await after(1), await after(4, false)];
    expect(split).toBeCloseTo(whole, 3);
    expect(Math.abs(plain - whole)).toBeGreaterThan(1e-2);
  });

  it('count rows by a column: the same weight for all is none, heavy rows pull', async () => {
    const weighed = (of: (label: string) => number) =>
      probabilityAfter(
        { sampleWeight: 'weight' },
        rows.map((row) => ({ ...row, weight: of(row.label) })),
      );
    const [none, two, heavy] = [
      await probabilityAfter({}),
      await weighed(() => 2),
      await weighed((label) => (label === 'pos' ? 50 : 1)),
    ];
    expect(two).toBeCloseTo(none, 4);
    expect(heavy).toBeGreaterThan(none + 1e-3); // "pos" is the second class
  });

  it('are balanced by the classes of the training rows, saved and loaded', async () => {
    const path = join(folder, 'balanced');
    const { predictor } = predictorOf('classification', 'bert', {
      path,
      label: 'label',
      sampleWeight: 'weight',
      hyperparameters: { ...lora, 'optim.class_weights': 'balanced' },
    });
    await fitted(predictor, rows, { textColumns: ['text'] });
    predictor.dispose();
    const { task } = JSON.parse(readFileSync(join(path, 'predictor.json'), 'utf8')) as {
      task: { weight: string; problem: { classWeights: number[] } };
    };
    // scikit-learn's compute_class_weight: 8 / (2·6) and 8 / (2·2)
    expect(task.problem.classWeights).toEqual([8 / 12, 2]);
    expect(task.weight).toBe('weight');
    const loaded = await PeftPredictor.load(path, { engine: 'portable' });
    expect(await loaded.predict(rows)).toHaveLength(8);
    // a further fit weighs its rows by the same column
    await expect(
      loaded.fit(
        rows.map((row) => ({ ...row, weight: -1 })),
        { tuningData: rows },
      ),
    ).rejects.toMatchObject({
      code: 'PEFT_SAMPLE_WEIGHT',
    });
    loaded.dispose();
  });

  it('are balanced for labels, too, and noise and LoRA+ change a fit', async () => {
    const tags = { task: 'multi-label-classification', label: 'tags' } as const;
    const path = join(folder, 'labels');
    const balanced = { ...tags, path, sampleWeight: 'weight' };
    await probabilityAfter({
      ...balanced,
      hyperparameters: { 'optim.positive_weights': 'balanced', 'optim.focal_gamma': 1 },
    });
    const { task } = JSON.parse(readFileSync(join(path, 'predictor.json'), 'utf8')) as {
      task: { positiveWeights: number[] };
    };
    expect(task.positiveWeights).toEqual([6 / 2, 1]); // all rows have "b"
    const [plain, noisy, plus] = [
      await probabilityAfter({}),
      await probabilityAfter({ hyperparameters: { 'optim.neftune_alpha': 5 } }),
      await probabilityAfter({ hyperparameters: { 'optim.lora_plus_ratio': 16 } }),
    ];
    expect(noisy).not.toBe(plain);
    expect(plus).not.toBe(plain);
  });

  it.each([
    [
      { hyperparameters: { 'optim.class_weights': [1, 2, 3] } },
      'there are 2 classes: "neg", "pos"',
    ],
    [{ sampleWeight: 'kind' }, 'must have a weight of at least 0 in the column "kind", got "x"'],
    [{ sampleWeight: 'label' }, '"label" is label and sampleWeight'],
    [
      { hyperparameters: { 'optim.positive_weights': 2 } },
      'classification does not read the setting',
    ],
    [
      { hyperparameters: { 'optim.peft': 'bit_fit' as const, 'optim.lora_plus_ratio': 16 } },
      "nothing that trains is LoRA's",
    ],
  ])('refuse what cannot be, by name (%#)', async (options, message) => {
    await expect(probabilityAfter(options)).rejects.toThrow(message);
  });

  it('are refused by tasks that have none', async () => {
    expect(() => new PeftPredictor({ task: 'causal-lm', sampleWeight: 'weight' })).toThrow(
      'causal-lm weighs no rows',
    );
    const { predictor } = predictorOf('regression', 'bert', {
      label: 'weight',
      hyperparameters: { ...lora, 'optim.focal_gamma': 2 },
    });
    await expect(fitted(predictor, rows, { textColumns: ['text'] })).rejects.toThrow(
      'regression does not read the setting optim.focal_gamma (2)',
    );
    predictor.dispose();
  });
});
