import { getMetric, getRankingMetric, LABEL_SET_METRICS, METRICS, TEXT_METRICS } from '@peft/data';
import { describe, expect, expectTypeOf, it } from 'vitest';
import type { EvaluateOptions, FitOptions, PredictorOptions } from './predictor-types.js';
import type { Hyperparameters } from './hyperparameter-types.js';
import { METRIC_NAMES, uncheckedMetric, type MetricName } from './metric-names.js';
import { uncheckedHyperparameters, type HyperparameterInput } from './hyperparameter-input.js';
import { embeddingTask } from '../tasks/embeddings/embedding-task.js';
import { tagTask } from '../tasks/tag-task.js';

// a plug-in's names
declare module './metric-names.js' {
  interface KnownMetrics {
    error_rate: true;
  }
}
declare module '@peft/ops' {
  interface KnownEngines {
    'abacus-of-a-test': true;
  }
}
declare module '@peft/core' {
  interface PeftConfigs {
    'ssf-of-a-test': object;
  }
}

describe('names of metrics', () => {
  const named = (metrics: readonly { name: string; aliases?: readonly string[] }[]) =>
    metrics.flatMap(({ name, aliases = [] }) => [name, ...aliases]);

  it('are those that are looked up', () => {
    expect([...METRIC_NAMES.rows].sort()).toEqual(named(METRICS).sort());
    expect([...METRIC_NAMES.labelSets].sort()).toEqual(named(LABEL_SET_METRICS).sort());
    expect([...METRIC_NAMES.texts].sort()).toEqual([...named(TEXT_METRICS), 'perplexity'].sort());
    const tags = tagTask({ tokens: 'words', tags: 'tags' }, ['O', 'B-a']);
    for (const name of METRIC_NAMES.tags) expect(tags.metric(name)).toBeDefined();
    const embeddings = embeddingTask({ anchor: 'a', positive: 'b' });
    for (const name of METRIC_NAMES.retrieval) expect(embeddings.metric(name)).toBeDefined();
    for (const name of METRIC_NAMES.rankings) expect(getRankingMetric(name)).toBeDefined();
  });
});

/** Compiled, not run: each `ts-expect-error` fails the type check where the error is missing. */
describe('types of the settings', () => {
  it('take every form that is written', () => {
    const inputs: HyperparameterInput[] = [
      { 'optim.peft': 'lora', 'optim.lr': 1e-3, 'env.engine': 'native' },
      { 'optim.peft': 'houlsby' },
      { optim: { peft: 'ia3_bias', lora: { r: 4 } }, env: { batch_size: 8 } },
      'optim.peft=lora',
      ['optim.peft=lora', 'optim.lr=0.1'],
      uncheckedHyperparameters({ 'optimization.learning_rate': 1 }),
    ];
    expectTypeOf(inputs).toEqualTypeOf<HyperparameterInput[]>();
    expectTypeOf<'best_quality'>().toExtend<NonNullable<FitOptions['presets']>>();
  });

  it('take names of tasks and metrics, and what is known at run time alone', () => {
    expectTypeOf<'multi-label-classification'>().toExtend<NonNullable<PredictorOptions['task']>>();
    const metrics: EvaluateOptions[] = [
      { metrics: 'rmse' },
      { metrics: ['ndcg@10', 'top1@64'] },
      { metrics: ['rougeL', getMetric('f1'), uncheckedMetric('Log-Loss')] },
    ];
    expectTypeOf(metrics).toEqualTypeOf<EvaluateOptions[]>();
    expectTypeOf<string>().not.toExtend<MetricName>();
    expectTypeOf<'error_rate'>().toExtend<MetricName>();
    expectTypeOf<'abacus-of-a-test'>().toExtend<Hyperparameters['env.engine']>();
    expectTypeOf<'ssf-of-a-test'>().toExtend<Hyperparameters['optim.peft']>();
  });

  it('refuse wrong keys and values', () => {
    const taken = (..._inputs: HyperparameterInput[]): void => undefined;
    // @ts-expect-error no such key
    taken({ 'optim.learing_rate': 1 });
    // @ts-expect-error no such method
    taken({ 'optim.peft': 'lroa' });
    // @ts-expect-error no such engine
    taken({ 'env.engine': 'cuda' });
    // @ts-expect-error a number is wanted
    taken({ 'optim.lr': 'fast' });
    // @ts-expect-error no such key in the group
    taken({ optim: { learing_rate: 1 } });
    // @ts-expect-error no such value in the group
    taken({ optim: { lr_choice: 'none' } });
    // @ts-expect-error no such task
    const task: PredictorOptions = { task: 'clasification' };
    // @ts-expect-error no such metric
    const metric: PredictorOptions = { label: 'a', evalMetric: 'acuracy' };
    // @ts-expect-error no such metric in a list
    const metrics: EvaluateOptions = { metrics: ['accuracy', 'acuracy'] };
    void [task, metric, metrics];
    // @ts-expect-error no such preset
    const options: FitOptions = { presets: 'mulitlingual' };
    void options;
  });
});
