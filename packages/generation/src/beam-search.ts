/**
 * Beam search as transformers runs it: of the (ends + 1)·K likeliest ways to go on with K running
 * texts, those that end are finished (if among the first K), and the K best others go on. Scores
 * are Σ ln p / length^λ, λ the length penalty.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { forceToken, penalizeRepetition } from './choose-token.js';
import type { Generated, ResolvedGeneration } from './generation-options.js';
import { limitReason, type LengthLimit } from './position-limit.js';
import type { SequenceReader } from './sequence-reader.js';

interface Beam {
  readonly tokens: readonly number[];
  /** Σ ln p */
  readonly sum: number;
  /** Which running text it continues. */
  readonly from: number;
  readonly isEnded: boolean;
}

interface Finished {
  readonly tokens: readonly number[];
  readonly score: number;
  readonly isEnded: boolean;
}

/** One prompt's search. */
interface Search {
  readonly prompt: number;
  readonly startLength: number;
  readonly limit: LengthLimit;
  running: readonly Beam[];
  finished: readonly Finished[];
}

/**
 * Generates by beam search, as transformers does.
 * @param starts what each text starts with. @returns the best text of each
 */
export async function searchBeams(
  reader: SequenceReader,
  starts: readonly (readonly number[])[],
  limits: readonly LengthLimit[],
  options: ResolvedGeneration,
): Promise<Generated[]> {
  const results = new Array<Generated>(starts.length);
  let searches = starts.map((start, prompt): Search => ({
    prompt,
    startLength: start.length,
    limit: limits[prompt]!,
    running: [{ tokens: start, sum: 0, from: 0, isEnded: false }],
    finished: [],
  }));
  for (let length = 1; searches.length > 0; length += 1) {
    options.signal?.throwIfAborted();
    const logits = await reader.next(
      searches.flatMap(({ running }) => running.map(({ tokens }) => tokens)),
    );
    let row = 0;
    const rows: number[] = [];
    const going: Search[] = [];
    for (const search of searches) {
      const firstRow = row;
      const candidates = continuations(
        search,
        logits.slice(row, row + search.running.length),
        length,
        options,
      );
      row += search.running.length;
      finish(search, candidates, length, options);
      search.running = candidates.filter(({ isEnded }) => !isEnded).slice(0, options.beams);
      if (isDone(search, length, options)) {
        results[search.prompt] = bestOf(search);
        continue;
      }
      going.push(search);
      rows.push(...search.running.map(({ from }) => firstRow + from));
    }
    if (rows.length > 0) reader.select(Int32Array.from(rows));
    searches = going;
    await nextTurn();
  }
  return results;
}

/** The best (ends + 1)·K of all texts that are one token longer, at least 2·K. */
function continuations(
  { running, limit }: Search,
  logits: readonly Float32Array[],
  length: number,
  options: ResolvedGeneration,
): Beam[] {
  const { endIds, beams, repetitionPenalty } = options;
  const kept = Math.max(2, 1 + endIds.length) * beams;
  const best: { readonly sum: number; readonly from: number; readonly id: number }[] = [];
  running.forEach(({ tokens, sum }, from) => {
    const logProbabilities = logSoftmax(logits[from]!);
    penalizeRepetition(logProbabilities, tokens, repetitionPenalty);
    forceToken(logProbabilities, length - 1, limit.tokens, options);
    for (let id = 0; id < logProbabilities.length; id += 1) {
      const total = sum + logProbabilities[id]!;
      if (best.length === kept && !(total > best.at(-1)!.sum)) continue;
      let at = best.length;
      while (at > 0 && best[at - 1]!.sum < total) at -= 1;
      best.splice(at, 0, { sum: total, from, id });
      if (best.length > kept) best.pop();
    }
  });
  return best.map(({ sum, from, id }) => ({
    tokens: [...running[from]!.tokens, id],
    sum,
    from,
    isEnded: endIds.includes(id) || length >= limit.tokens,
  }));
}

/** Takes the ended ones of the first K candidates among the K best finished texts. */
function finish(
  search: Search,
  candidates: readonly Beam[],
  length: number,
  { beams, lengthPenalty, endIds }: ResolvedGeneration,
): void {
  const ended = candidates
    .slice(0, beams)
    .filter(({ isEnded }) => isEnded)
    .map(({ tokens, sum }) => ({
      tokens,
      score: sum / length ** lengthPenalty,
      isEnded: endIds.includes(tokens.at(-1)!),
    }));
  search.finished = [...search.finished, ...ended]
    .sort((a, b) => b.score - a.score)
    .slice(0, beams);
}

/** Whether nothing better is to come. */
function isDone(
  { running, finished, limit }: Search,
  length: number,
  { beams, earlyStopping, lengthPenalty }: ResolvedGeneration,
): boolean {
  if (length >= limit.tokens || running.length === 0) return true;
  if (finished.length < beams) return false;
  if (earlyStopping === true) return true;
  const best =
    running[0]!.sum /
    (earlyStopping === 'never' && lengthPenalty > 0 ? limit.tokens : length) ** lengthPenalty;
  return !(best > finished.at(-1)!.score);
}

function bestOf({ finished, startLength, limit }: Search): Generated {
  const { tokens, score, isEnded } = finished[0]!;
  return {
    ids: tokens.slice(startLength),
    finishReason: isEnded ? 'end' : limitReason(limit),
    score,
  };
}

function logSoftmax(logits: Float32Array): Float32Array {
  const largest = logits.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  let sum = 0;
  for (const value of logits) sum += Math.exp(value - largest);
  const shift = largest + Math.log(sum);
  return logits.map((value) => value - shift);
}
