import { getMetric } from '@peft/data';
import { describe, expect, it } from 'vitest';
import { checkMetric, fitProblem, restoreProblem } from './problem.js';

describe('a problem', () => {
  const labels = ['good', 'bad', 'good', 'bad', 'good'];

  it('of two classes looks at the last in order, or at the one asked for', () => {
    expect(fitProblem('binary', labels, null)).toMatchObject({
      outputs: 2,
      classes: ['bad', 'good'],
      positiveClass: 1,
    });
    const asked = fitProblem('binary', labels, 'bad');
    expect(asked.positiveClass).toBe(0);
    // The probability of "bad" ranks both bad rows above all good ones.
    const predictions = labels.map((label) =>
      label === 'bad' ? Float64Array.of(0.9, 0.1) : Float64Array.of(0.2, 0.8),
    );
    expect(asked.scorer([getMetric('roc_auc')], labels)(predictions)).toEqual({ roc_auc: 1 });
    expect(asked.decode(predictions[0]!)).toBe('good');
    expect(() => fitProblem('binary', labels, 'ugly')).toThrow(
      expect.objectContaining({ code: 'PEFT_LABEL_UNKNOWN' }),
    );
  });

  it('of numbers is scaled for the loss only', () => {
    const problem = fitProblem('regression', [10, 20, 30], null);
    expect(problem.outputs).toBe(1);
    expect([...problem.encode([10, 20, 30])].map((z) => Number(z.toFixed(4)))).toEqual([
      -1.2247, 0, 1.2247,
    ]); // z with the denominator n
    expect(problem.scorer([getMetric('rmse')], [10, 20])([13, 16])).toEqual({
      root_mean_squared_error: Math.sqrt(12.5),
    });
    expect(problem.decode(13)).toBe(13);
  });

  it('is the same after it was written as JSON', () => {
    for (const problem of [
      fitProblem('binary', labels, null),
      fitProblem('binary', labels, 'bad'),
      fitProblem('multiclass', [3, 1, 2], null),
      fitProblem('regression', [1, 2, 4], null),
    ]) {
      const again = restoreProblem(
        JSON.parse(JSON.stringify(problem.record)) as typeof problem.record,
      );
      expect(again.record).toEqual(problem.record);
      expect([again.type, again.outputs, again.classes, again.positiveClass]).toEqual([
        problem.type,
        problem.outputs,
        problem.classes,
        problem.positiveClass,
      ]);
    }
  });

  it('knows before training which metrics have a value', () => {
    const problem = fitProblem('binary', labels, null);
    for (const name of ['accuracy', 'roc_auc', 'log_loss', 'f1', 'mcc'])
      expect(() => checkMetric(getMetric(name), problem, labels), name).not.toThrow();
    expect(() => checkMetric(getMetric('roc_auc'), problem, ['good', 'good'])).toThrow(
      expect.objectContaining({ code: 'PEFT_METRIC_UNDEFINED' }),
    );
    expect(() => checkMetric(getMetric('r2'), problem, labels)).toThrow(
      expect.objectContaining({ code: 'PEFT_METRIC_INPUT_INVALID' }),
    );
    expect(() =>
      checkMetric(getMetric('accuracy'), fitProblem('regression', [1, 2], null), [1, 2]),
    ).toThrow(expect.objectContaining({ code: 'PEFT_METRIC_INPUT_INVALID' }));
  });
});
