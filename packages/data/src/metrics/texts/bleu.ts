/**
 * BLEU (Papineni et al. 2002) of a corpus as sacreBLEU reports it by default: words of mteval-v13a,
 * case kept, runs of up to four words, 0 to 100.
 *
 *   BLEU = 100·min(1, e^(1 − r/c))·(Π_n p_n)^¼, p_n = matched / made runs of n words of the whole corpus
 *
 * c words were made, r is the sum of the reference lengths nearest to each prediction's (of equally
 * near ones the shorter). A run matches as often as it occurs in the reference that has it most.
 * The k-th p_n of zero matches counts as 1/(2^k·made) (sacreBLEU's `exp`); without any match, or
 * with no run of n words at all, BLEU is 0.
 */
import type { TextMetric } from './text-metric.js';
import { countRuns, textPairs } from './text-pairs.js';

const LONGEST_RUN = 4;
/** What Python's `split` takes for blanks. */
const BLANKS = /[\t-\r\x1c- \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+/u;

/**
 * Words of mteval-v13a: ASCII signs stand alone, except full stops, commas and dashes within
 * numbers and apostrophes.
 */
export function wordsOf13a(text: string): string[] {
  const plain = text
    .trimEnd()
    .replaceAll('<skipped>', '')
    .replaceAll('-\n', '')
    .replaceAll('\n', ' ')
    .replaceAll('&quot;', '"')
    .replaceAll('&amp;', '&')
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>');
  return ` ${plain} `
    .replace(/[!-&(-+/:-@[-`{-~]/g, ' $& ')
    .replace(/([^0-9])([.,])/gu, '$1 $2 ')
    .replace(/([.,])([^0-9])/gu, ' $1 $2')
    .replace(/([0-9])-/g, '$1 - ')
    .split(BLANKS)
    .filter((word) => word !== '');
}

/**
 * sacreBLEU's `corpus_bleu` with its defaults, 0 to 100; the formula is at the top of the file.
 */
export const bleu: TextMetric = Object.freeze<TextMetric>({
  name: 'bleu',
  aliases: ['sacrebleu'],
  greaterIsBetter: true,
  optimum: 100,
  compute(predictions, references) {
    const [matched, made] = [
      new Array<number>(LONGEST_RUN).fill(0),
      new Array<number>(LONGEST_RUN).fill(0),
    ];
    let madeWords = 0;
    let referenceWords = 0;
    for (const { prediction, references: own } of textPairs('bleu', predictions, references)) {
      const words = wordsOf13a(prediction);
      const wanted = own.map(wordsOf13a);
      madeWords += words.length;
      referenceWords += nearest(
        words.length,
        wanted.map(({ length }) => length),
      );
      for (let n = 1; n <= LONGEST_RUN; n += 1) {
        const counts = wanted.map((reference) => countRuns(reference, n));
        for (const [run, count] of countRuns(words, n)) {
          made[n - 1]! += count;
          matched[n - 1]! += Math.min(count, Math.max(...counts.map((each) => each.get(run) ?? 0)));
        }
      }
    }
    if (matched.every((count) => count === 0) || made.includes(0)) return 0;
    let halves = 1;
    const logs = matched.map((count, i) =>
      Math.log(count === 0 ? 1 / ((halves *= 2) * made[i]!) : count / made[i]!),
    );
    const brevity = madeWords < referenceWords ? Math.exp(1 - referenceWords / madeWords) : 1;
    return 100 * brevity * Math.exp(logs.reduce((sum, log) => sum + log, 0) / LONGEST_RUN);
  },
});

function nearest(length: number, lengths: readonly number[]): number {
  return lengths.reduce((best, each) => {
    const [difference, least] = [Math.abs(each - length), Math.abs(best - length)];
    return difference < least || (difference === least && each < best) ? each : best;
  });
}
