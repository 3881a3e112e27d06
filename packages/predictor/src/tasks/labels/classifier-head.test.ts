import { expect, it } from 'vitest';
import { labelCount, labelsOfCheckpoint } from './classifier-head.js';

// as PreTrainedConfig counts: id2label, else num_labels, else 2
it.each([
  [{}, 2],
  [{ num_labels: 5 }, 5],
  [{ id2label: null, num_labels: 3 }, 3],
  [{ id2label: { 0: 'a', 1: 'a', 2: 'b' } }, 3],
])('the labels of %j are %i', (config, count) => {
  expect(labelCount(config)).toBe(count);
});

it('names of labels are taken in the order of their ids, of such a classifier alone', () => {
  const config = {
    architectures: ['BertForSequenceClassification'],
    problem_type: 'multi_label_classification',
    id2label: { 10: 'c', 2: 'b', 0: 'a' },
  };
  expect(labelsOfCheckpoint(config, 'multi_label_classification')).toEqual(['a', 'b', 'c']);
  expect(labelsOfCheckpoint(config, 'single_label_classification')).toBeUndefined();
});
