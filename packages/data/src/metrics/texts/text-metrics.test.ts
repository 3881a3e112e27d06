import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import {
  entitiesOf,
  entityF1,
  entityPrecision,
  entityRecall,
  tagAccuracy,
} from '../classes/entity-metrics.js';
import { perplexity } from './perplexity.js';
import { getTextMetric, TEXT_METRICS } from './get-text-metric.js';
import type { TextMetric } from './text-metric.js';

/** Expected by rouge_score, sacrebleu and seqeval: tools/cases/make_text_metric_cases.py. */
const { texts, tags } = JSON.parse(
  readFileSync(new URL('./text-metric-cases.json', import.meta.url), 'utf8'),
) as {
  texts: { predictions: string[]; references: string[][]; expected: Record<string, number> }[];
  tags: { labels: string[][]; predictions: string[][]; expected: Record<string, number> }[];
};

describe('metrics of texts', () => {
  it.each(['rouge1', 'rouge2', 'rougeL', 'bleu'])(
    '%s is what the reference library computes',
    (name) => {
      for (const { predictions, references, expected } of texts)
        expect(
          getTextMetric(name).compute(predictions, references),
          predictions.join(' | '),
        ).toBeCloseTo(expected[name]!, 9);
    },
  );

  it('ROUGE is what its paper calculates by hand', () => {
    // Lin 2004, section 3: the reference "police killed the gunman" and three sentences, with β =
    // 1.
    const scores = (name: string) =>
      ['police kill the gunman', 'the gunman kill police', 'the gunman police killed'].map(
        (sentence) => getTextMetric(name).compute([sentence], ['police killed the gunman']),
      );
    expect(scores('rougeL')).toEqual([3 / 4, 2 / 4, 2 / 4]);
    expect(scores('rouge2').map((score) => Number(score.toFixed(12)))).toEqual(
      [1 / 3, 1 / 3, 2 / 3].map((score) => Number(score.toFixed(12))),
    ); // runs shared of 3: {the gunman}, the same, and {police killed} beside it
    expect(scores('rouge1')).toEqual([3 / 4, 3 / 4, 1]);
  });

  it('are best for equal texts', () => {
    const equal = ['a cat sat on the mat', 'no dog did 1,000.5 things'];
    for (const metric of TEXT_METRICS)
      expect(metric.compute(equal, equal), metric.name).toBeCloseTo(metric.optimum, 9);
  });

  it('exact_match counts texts that are any of their references', () => {
    expect(
      getTextMetric('EM').compute(
        [' Berlin\n', 'Paris', 'Rome'],
        ['Berlin', ['paris', 'Paris'], 'Roma'],
      ),
    ).toBeCloseTo(2 / 3, 15);
  });

  it('are joined by those of others, and name the nearest for an unknown one', () => {
    const length: TextMetric = {
      name: 'length',
      greaterIsBetter: false,
      optimum: 0,
      compute: (predictions) => predictions.join('').length,
    };
    expect(getTextMetric('length', [...TEXT_METRICS, length]).compute(['ab'], ['a'])).toBe(2);
    expect(() => getTextMetric('rouge3')).toThrowErrorMatchingInlineSnapshot(`
      [PeftError: data: there is no metric of texts "rouge3".
        hint: Did you mean "rouge1" or "rouge2" or "rougeL"? Metrics: exact_match, rouge1, rouge2, rougeL, bleu.]
    `);
  });

  it('refuse what has no answer', () => {
    expect(() => getTextMetric('bleu').compute([], [])).toThrow(
      'data: bleu: there are no predictions.',
    );
    expect(() => getTextMetric('rouge1').compute(['a'], ['a', 'b'])).toThrow(
      '1 predictions and 2 references',
    );
    expect(() => getTextMetric('em').compute(['a'], [[]])).toThrow('prediction 0 has no reference');
  });
});

describe('metrics of tags', () => {
  it('are what seqeval computes', () => {
    for (const { labels, predictions, expected } of tags)
      for (const metric of [entityF1, entityPrecision, entityRecall])
        expect(metric.compute(labels, predictions)).toBeCloseTo(expected[metric.name]!, 12);
  });

  it('find entities as the CoNLL script does', () => {
    expect(entitiesOf(['B-PER', 'I-PER', 'O', 'I-LOC', 'I-PER', 'B-PER'])).toEqual([
      { type: 'PER', first: 0, last: 1 },
      { type: 'LOC', first: 3, last: 3 },
      { type: 'PER', first: 4, last: 4 },
      { type: 'PER', first: 5, last: 5 },
    ]);
  });

  it('are 0 where nothing is found, and refuse sequences of other lengths', () => {
    expect(entityF1.compute([['B-PER']], [['O']])).toBe(0);
    expect(() => entityF1.compute([['O']], [['O', 'O']])).toThrow(
      'sequence 0 has 1 labels and 2 predictions',
    );
  });
});

describe('tags that mark no entities', () => {
  it('are refused by the metrics of entities, which would call anything right', () => {
    for (const metric of [entityF1, entityPrecision, entityRecall]) {
      expect(() => metric.compute([['NOUN', 'VERB']], [['VERB', 'NOUN']])).toThrow(
        'the tag "NOUN" does not say where an entity begins (B-, I-).',
      );
      expect(() => metric.compute([['O', 'O']], [['O', 'B-PER']])).toThrow(
        'there is no entity among the labels.',
      );
    }
    expect(() => entityF1.compute([['3', '0']], [['3', '0']])).toThrow('the tag "3"');
  });

  it('are scored word by word', () =>
    expect(tagAccuracy.compute([['NOUN', 'VERB'], ['NOUN']], [['NOUN', 'NOUN'], ['NOUN']])).toBe(
      2 / 3,
    ));
});

describe('perplexity', () => {
  it('is e to the mean loss of a token', () => {
    expect(
      perplexity([
        { loss: 4 * Math.log(8), tokens: 4 },
        { loss: 0, tokens: 2 },
      ]),
    ).toBeCloseTo(4, 12); // (8⁴)^(1/6)
    expect(() => perplexity([])).toThrow('there is no labelled token');
  });
});
