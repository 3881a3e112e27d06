/**
 * How well documents are ordered.
 *
 *   nDCG@k = DCG@k / DCG@k of the best order, DCG@k = Σ_{i ≤ k} relevance_i / log₂(i + 1)
 *   MRR@k = 1 / rank of the first relevant document, 0 beyond k
 *   MAP = average precision over the whole list
 *
 * nDCG gives documents of one score the mean of their places, as scikit-learn's `ndcg_score` (Järvelin
 * and Kekäläinen 2002; ties by McSherry and Najork 2008); MRR puts a relevant one behind those, so that
 * a model that scores all alike gains nothing by the order of the file.
 */
import { didYouMean, PeftError, show } from '@peft/errors';
import { averagePrecision } from '../labels/average-precision.js';
import { rankingMetric, type RankedList, type RankingMetric } from './ranking-metric.js';

/** Places that count where none are named. */
const DEFAULT_DEPTH = 10;

/** Gains of the places, best first, with equal scores sharing theirs. */
function discountedGain({ relevances, scores }: RankedList, depth: number): number {
  const order = Array.from({ length: scores.length }, (_, i) => i).sort(
    (a, b) => scores[b]! - scores[a]!,
  );
  let gain = 0;
  for (let start = 0; start < order.length;) {
    let [end, relevance, discounts] = [start, 0, 0];
    while (end < order.length && scores[order[end]!] === scores[order[start]!]) {
      relevance += relevances[order[end]!]!;
      if (end < depth) discounts += 1 / Math.log2(end + 2);
      end += 1;
    }
    gain += (relevance / (end - start)) * discounts;
    start = end;
  }
  return gain;
}

const normalizedGain = (depth: number): RankingMetric =>
  rankingMetric(`ndcg@${depth}`, (list) => {
    const best = discountedGain({ ...list, scores: list.relevances }, depth);
    return best === 0 ? 0 : discountedGain(list, depth) / best;
  });

const reciprocalRank = (depth: number): RankingMetric =>
  rankingMetric(`mrr@${depth}`, ({ relevances, scores }) => {
    const all = Array.from(scores);
    const relevant = all.filter((_, i) => relevances[i]! > 0);
    if (relevant.length === 0) return 0;
    const best = relevant.reduce((most, score) => Math.max(most, score));
    const before = all.filter(
      (score, i) => score > best || (score === best && !(relevances[i]! > 0)),
    ).length;
    return before < depth ? 1 / (before + 1) : 0;
  });

/** Mean average precision (`average_precision_score` of each query). */
const meanAveragePrecision: RankingMetric = rankingMetric('map', ({ relevances, scores }) =>
  averagePrecision(
    Array.from(relevances, (relevance) => (relevance > 0 ? 1 : 0)),
    scores,
  ),
);

/**
 * `ndcg@k`, `mrr@k` (k 10 where none is named) or `map`.
 * @throws PEFT_METRIC_UNKNOWN
 */
export function getRankingMetric(name: string): RankingMetric {
  const plain = name.toLowerCase();
  const [, kind, depth = String(DEFAULT_DEPTH)] =
    /^(ndcg|mrr)(?:@([1-9]\d{0,8}))?$/.exec(plain) ?? [];
  if (kind === 'ndcg') return normalizedGain(Number(depth));
  if (kind === 'mrr') return reciprocalRank(Number(depth));
  if (plain === 'map') return meanAveragePrecision;
  const names = ['ndcg@10', 'mrr@10', 'map'];
  throw new PeftError('PEFT_METRIC_UNKNOWN', `data: rankings have no metric ${show(name)}.`, {
    hint: `${didYouMean(plain, names)} Metrics: ndcg@K, mrr@K, map.`.trim(),
  });
}
