/** What a metric of rankings is. */
import { PeftError } from '@peft/errors';

/** The documents of one query. */
export interface RankedList {
  /** How relevant each is, at least 0; above 0 it counts as relevant `[n]`. */
  readonly relevances: ArrayLike<number>;
  /** Higher is better `[n]`. */
  readonly scores: ArrayLike<number>;
}

/** A named score of rankings: the mean of what each query gives, one without relevant documents 0. */
export interface RankingMetric {
  readonly name: string;
  readonly greaterIsBetter: true;
  readonly optimum: 1;
  /**
   * @throws PEFT_METRIC_INPUT_INVALID for lengths or values that do not fit, PEFT_METRIC_UNDEFINED
   *   where no query has a relevant document
   */
  compute(lists: readonly RankedList[]): number;
}

/** @param of what one query gives. */
export const rankingMetric = (name: string, of: (list: RankedList) => number): RankingMetric =>
  Object.freeze<RankingMetric>({
    name,
    greaterIsBetter: true,
    optimum: 1,
    compute(lists) {
      checkLists(name, lists);
      return lists.reduce((sum, list) => sum + of(list), 0) / lists.length;
    },
  });

function checkLists(name: string, lists: readonly RankedList[]): void {
  const fail = (what: string): PeftError =>
    new PeftError('PEFT_METRIC_INPUT_INVALID', `data: ${name}: ${what}`);
  if (lists.length === 0) throw fail('there are no queries.');
  lists.forEach(({ relevances, scores }, query) => {
    if (relevances.length !== scores.length || scores.length === 0)
      throw fail(`query ${query} has ${relevances.length} relevances and ${scores.length} scores.`);
    for (let i = 0; i < scores.length; i += 1) {
      if (!Number.isFinite(scores[i]!)) throw fail(`a score of query ${query} is ${scores[i]}.`);
      if (!(relevances[i]! >= 0 && relevances[i]! < Infinity))
        throw fail(`a relevance of query ${query} is ${relevances[i]}.`);
    }
  });
  const isAnyRelevant = lists.some(({ relevances }) => Array.from(relevances).some((r) => r > 0));
  if (!isAnyRelevant)
    throw new PeftError(
      'PEFT_METRIC_UNDEFINED',
      `data: ${name} is not defined here: no query has a relevant document.`,
      { hint: 'relevances above 0 mark the documents that answer their query' },
    );
}
