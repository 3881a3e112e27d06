/** What `rank` is asked for. */
import { check, PeftError } from '@peft/errors';
import type { PredictorTask, RankedDocument, TaskTools } from '../predictor-task.js';

/** How a ranking is made. */
export interface RankOptions {
  /** Only the first so many. Default: all. */
  readonly topK?: number;
  /** Rejects with its reason once aborted. */
  readonly signal?: AbortSignal;
}

/**
 * Checks what a ranking is asked for.
 * @returns what computes it
 * @throws PEFT_CONFIG_INVALID, PEFT_DATA_INVALID without documents, PEFT_PROBLEM_TYPE for a task that
 *   ranks nothing
 */
export function rankerOf(
  { name, rank }: PredictorTask,
  query: string,
  documents: readonly string[],
  options: RankOptions,
): (tools: TaskTools) => Promise<RankedDocument[]> {
  check.knownKeys('rank', options, ['topK', 'signal']);
  const { topK = documents.length } = options;
  if (documents.length === 0)
    throw new PeftError('PEFT_DATA_INVALID', 'predictor: there are no documents to rank.', {
      hint: 'rank(query, documents) takes a text and a list of texts',
    });
  for (const [i, text] of [query, ...documents].entries())
    check.string('rank', i === 0 ? 'query' : `documents[${i - 1}]`, text);
  check.positiveInteger('rank', 'topK', topK);
  if (!rank)
    throw new PeftError('PEFT_PROBLEM_TYPE', `predictor: ${name} ranks no documents.`, {
      hint: "train with task: 'ranking' (CLI: --task ranking)",
    });
  return async (tools) => (await rank(query, documents, tools)).slice(0, topK);
}
