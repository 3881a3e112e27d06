/** What a saved predictor says of rows with any number of labels, and of rankings. */
import type { LabelSetColumns } from '@peft/data';
import type { MultiLabelRecord } from '../tasks/labels/multi-label-task.js';
import { PAIR_LOSSES, UNPAIRED_LOSSES } from '@peft/preference';
import { RANKING_LOSSES } from '@peft/trainer';
import type { ClassifierHead } from '../tasks/labels/classifier-head.js';
import type { RankingRecord } from '../tasks/ranking/ranking-task.js';
import type { Reader } from './record-reader.js';

/** @throws PEFT_PREDICTOR_INVALID naming the field */
export function parseMultiLabel(read: Reader): MultiLabelRecord {
  const { thresholds } = read.value;
  const classes = read.texts('classes');
  if (classes.length < 2 || new Set(classes).size !== classes.length)
    return read.fail('classes', 'a list of different labels');
  const areThresholds =
    Array.isArray(thresholds) &&
    thresholds.length === classes.length &&
    thresholds.every((value) => typeof value === 'number' && value > 0 && value < 1);
  if (!areThresholds) return read.fail('thresholds', 'a number between 0 and 1 for each class');
  return {
    name: 'multi-label-classification',
    labels: parsePlace(read.object('labels'), classes),
    texts: read.texts('texts'),
    classes,
    thresholds: thresholds as number[],
    head: parseHead(read),
    positiveWeights: read.weights('positiveWeights', classes.length),
    weight: read.optionalText('weight'),
  };
}

/** @throws PEFT_PREDICTOR_INVALID naming the field */
export function parseRanking(read: Reader): Pick<RankingRecord, 'loss' | 'head'> {
  const loss = RANKING_LOSSES.find((name) => name === read.value['loss']);
  return {
    loss: loss ?? read.fail('loss', `one of ${RANKING_LOSSES.join(', ')}`),
    head: parseHead(read),
  };
}

/** The name of a loss of pairs, or of single answers. */
export function parsePreferenceLoss(read: Reader): string {
  const loss = read.text('loss');
  const names = [...PAIR_LOSSES, ...UNPAIRED_LOSSES].map(({ name }) => name);
  return names.includes(loss) ? loss : read.fail('loss', `one of ${names.join(', ')}`);
}

export function parseHead(read: Reader): ClassifierHead {
  const { head } = read.value;
  return head === 'sequence-classification' || head === 'pooled-linear'
    ? head
    : read.fail('head', 'sequence-classification or pooled-linear');
}

function parsePlace(read: Reader, classes: readonly string[]): LabelSetColumns {
  if (read.value['columns'] === undefined) {
    const { separator } = read.value;
    if (separator !== null && (typeof separator !== 'string' || separator === ''))
      return read.fail('separator', 'a text or null');
    return { column: read.text('column'), separator };
  }
  const columns = read.texts('columns');
  return columns.every((column) => classes.includes(column))
    ? { columns }
    : read.fail('columns', 'names of classes');
}
