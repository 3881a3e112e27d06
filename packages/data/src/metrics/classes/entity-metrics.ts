/**
 * Precision, recall and F1 of entities in sequences of tags (`B-PER`, `I-PER`, `O`, also `E-` and
 * `S-`), as seqeval's default: an entity counts as found when type, first and last word are right,
 * over all sequences (micro average).
 *
 * Entities are read as the CoNLL evaluation script does: an `I-` after another type or after `O`
 * begins one, too.
 */
import { PeftError, show } from '@peft/errors';
import { undefinedMetric } from '../metric.js';

/** Words `first` to `last`, both included. */
export interface Entity {
  readonly type: string;
  readonly first: number;
  readonly last: number;
}

/** A named score of the tags of words. */
export interface TagMetric {
  readonly name: string;
  readonly greaterIsBetter: true;
  readonly optimum: 1;
  /**
   * @param labels and `predictions`: tags of each word of each sequence.
   * @throws PEFT_METRIC_INPUT_INVALID for lengths that differ; entity metrics PEFT_METRIC_UNDEFINED
   *   for labels that mark no entities
   */
  compute(
    labels: readonly (readonly string[])[],
    predictions: readonly (readonly string[])[],
  ): number;
}

/** The entities of one sequence of tags, in their order. */
export function entitiesOf(tags: readonly string[]): Entity[] {
  const entities: Entity[] = [];
  let open: { readonly type: string; readonly first: number } | undefined;
  let before = { tag: 'O', type: '' };
  [...tags, 'O'].forEach((word, i) => {
    const now = { tag: word.charAt(0), type: word.slice(1).replace(/^[^-]*-/, '') || '_' };
    const isOther = now.type !== before.type;
    if (open && (isOther || 'ES'.includes(before.tag) || 'BSO'.includes(now.tag))) {
      entities.push({ ...open, last: i - 1 });
      open = undefined;
    }
    if (now.tag !== 'O' && (isOther || 'BS'.includes(now.tag) || 'ESO'.includes(before.tag)))
      open = { type: now.type, first: i };
    before = now;
  });
  return entities;
}

/** Whether tags say where entities begin: `O`, or a letter of `BIES` (or `LU`) with `-` and a type. */
export const marksEntities = (tags: Iterable<string>): boolean =>
  [...tags].every((tag) => tag === 'O' || /^[BIESLU]-./.test(tag));

const tagMetric = (
  name: TagMetric['name'],
  ratio: (found: number, predicted: number, wanted: number) => number,
): TagMetric =>
  Object.freeze<TagMetric>({
    name,
    greaterIsBetter: true,
    optimum: 1,
    compute(labels, predictions) {
      checkSequences(name, labels, predictions);
      checkMarks(name, labels);
      let [found, predicted, wanted] = [0, 0, 0];
      labels.forEach((tags, b) => {
        const key = ({ type, first, last }: Entity): string => `${first} ${last} ${type}`;
        const truth = new Set(entitiesOf(tags).map(key));
        const made = entitiesOf(predictions[b]!).map(key);
        found += made.filter((entity) => truth.has(entity)).length;
        predicted += made.length;
        wanted += truth.size;
      });
      return ratio(found, predicted, wanted);
    },
  });

function checkSequences(
  name: string,
  labels: readonly (readonly string[])[],
  predictions: readonly (readonly string[])[],
): void {
  const fail = (what: string) =>
    new PeftError('PEFT_METRIC_INPUT_INVALID', `data: ${name}: ${what}`);
  if (labels.length === 0) throw fail('there are no sequences.');
  if (labels.length !== predictions.length)
    throw fail(`${labels.length} sequences of labels and ${predictions.length} of predictions.`);
  labels.forEach((tags, b) => {
    if (tags.length !== predictions[b]!.length)
      throw fail(
        `sequence ${b} has ${tags.length} labels and ${predictions[b]!.length} predictions.`,
      );
  });
}

function checkMarks(name: string, labels: readonly (readonly string[])[]): void {
  const plain = labels.flat().find((tag) => !marksEntities([tag]));
  if (plain !== undefined)
    throw undefinedMetric(
      name,
      `the tag ${show(plain)} does not say where an entity begins (B-, I-).`,
      'Write tags as B-PER, I-PER and O, or use tag_accuracy.',
    );
  if (labels.flat().every((tag) => tag === 'O'))
    throw undefinedMetric(
      name,
      'there is no entity among the labels.',
      'Evaluate on rows with entities, or use tag_accuracy.',
    );
}

/** Words with the right tag / words, 0 to 1, for tags of any kind. */
export const tagAccuracy: TagMetric = Object.freeze<TagMetric>({
  name: 'tag_accuracy',
  greaterIsBetter: true,
  optimum: 1,
  compute(labels, predictions) {
    checkSequences('tag_accuracy', labels, predictions);
    const right = labels.flatMap((tags, b) => tags.filter((tag, i) => tag === predictions[b]![i]));
    return quotient(right.length, labels.flat().length);
  },
});

const quotient = (a: number, b: number): number => (b === 0 ? 0 : a / b);

/**
 * 2·found / (predicted + wanted) over all entities, seqeval’s `f1_score`; labels without entities are refused.
 */
export const entityF1 = tagMetric('entity_f1', (found, predicted, wanted) =>
  quotient(2 * found, predicted + wanted),
);
/** found / predicted, seqeval’s `precision_score`; 0 where none is predicted. */
export const entityPrecision = tagMetric('entity_precision', (found, predicted) =>
  quotient(found, predicted),
);
/** found / wanted, seqeval’s `recall_score`; labels without entities are refused. */
export const entityRecall = tagMetric('entity_recall', (found, _, wanted) =>
  quotient(found, wanted),
);
