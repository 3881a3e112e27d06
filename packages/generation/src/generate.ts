/** Continues prompts, token by token, all of them in one batch. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { BASE_ADAPTER, modelTasks, requireTaskIds, type Model } from '@peft/core';
import { PeftError } from '@peft/errors';
import { tokenProbabilities } from './batch/token-probabilities.js';
import { searchBeams } from './beam-search.js';
import { chooseToken, forceToken, penalizeRepetition } from './choose-token.js';
import {
  resolveGeneration,
  type Generated,
  type GenerationOptions,
  type ResolvedGeneration,
} from './generation-options.js';
import { lengthLimits, limitReason, type LengthLimit } from './position-limit.js';
import { isEncoderDecoder, SequenceReader } from './sequence-reader.js';

/**
 * Generates after token ids. Prompts of any lengths share a batch without padding; what comes out
 * for one does not depend on the others. A text that has ended leaves the batch. No tensor is left
 * behind.
 *
 * @param prompts token ids: what a decoder continues, or what the encoder of an encoder-decoder
 *   reads.
 * @returns one result per prompt, in their order.
 * @throws PEFT_GENERATION_HEAD, PEFT_CONFIG_INVALID; PEFT_TASK_ID_MISSING, PEFT_TASK_ID_RANGE and
 *   PEFT_TASK_ID_UNUSED where adapters and `taskIds` do not go together; PEFT_GENERATION_PROMPT for a prompt without
 *   tokens, or with more than the model has positions; PEFT_CACHE_ADAPTER for
 *   adapters that look at whole sequences, which need `cache: false`; the signal's reason when
 *   aborted.
 */
export async function generate(
  model: Model,
  prompts: readonly (readonly number[])[],
  options: GenerationOptions = {},
): Promise<Generated[]> {
  const isPair = isEncoderDecoder(model);
  const given = resolveGeneration(options, prompts.length);
  const resolved = isPair ? given : { ...given, firstId: undefined };
  const empty = prompts.findIndex(({ length }) => length === 0);
  if (empty >= 0)
    throw new PeftError('PEFT_GENERATION_PROMPT', `generation: prompt ${empty} has no tokens.`, {
      hint: "start it with the tokenizer's begin token",
    });
  if (prompts.length === 0) return [];
  const { adapters, taskIds } = resolved;
  const named = adapters && [...new Set(adapters)].filter((name) => name !== BASE_ADAPTER);
  requireTaskIds('generation', modelTasks(model, named), taskIds);
  const starts = isPair ? prompts.map(() => resolved.startIds) : prompts;
  const limits = lengthLimits(model, starts, resolved.maxNewTokens, resolved.adapters);
  const reader = new SequenceReader(model, isPair ? prompts : undefined, resolved);
  try {
    return await (resolved.beams > 1
      ? searchBeams(reader, starts, limits, resolved)
      : continueTexts(reader, starts, limits, resolved));
  } finally {
    reader.dispose();
  }
}

interface Text {
  readonly prompt: number;
  readonly limit: LengthLimit;
  /** What stood there before, and what was made. */
  readonly tokens: number[];
  readonly made: number[];
  /** ln p of what was made, where it is asked for. */
  readonly logProbabilities: number[];
}

async function continueTexts(
  reader: SequenceReader,
  starts: readonly (readonly number[])[],
  limits: readonly LengthLimit[],
  options: ResolvedGeneration,
): Promise<Generated[]> {
  const results = new Array<Generated>(starts.length);
  let running: Text[] = starts.map((start, prompt) => ({
    prompt,
    limit: limits[prompt]!,
    tokens: [...start],
    made: [],
    logProbabilities: [],
  }));
  for (let step = 0; running.length > 0; step += 1) {
    options.signal?.throwIfAborted();
    const sequences = running.map(({ tokens }) => tokens);
    const logits = await (step === 0
      ? readStarts(reader, sequences, options)
      : reader.next(sequences));
    const going: number[] = [];
    running.forEach((text, b) => {
      const own = options.withLogProbabilities ? logits[b]!.slice() : undefined;
      penalizeRepetition(logits[b]!, text.tokens, options.repetitionPenalty);
      forceToken(logits[b]!, text.made.length, text.limit.tokens, options);
      const id = chooseToken(logits[b]!, options, text.prompt, step);
      if (own) text.logProbabilities.push(tokenProbabilities(own, id, 0).logProbability);
      const reason = append(text, id, options);
      if (reason) results[text.prompt] = resultOf(text, reason, options);
      else going.push(b);
    });
    if (going.length < running.length && going.length > 0) reader.select(Int32Array.from(going));
    running = going.map((b) => running[b]!);
    await nextTurn();
  }
  return results;
}

const resultOf = (
  { made, logProbabilities }: Text,
  finishReason: Generated['finishReason'],
  options: ResolvedGeneration,
): Generated => ({
  ids: made,
  finishReason,
  ...(options.withLogProbabilities && { logProbabilities }),
});

/** Reads what a decoder goes on from, each text once that several go on from. */
async function readStarts(
  reader: SequenceReader,
  starts: readonly (readonly number[])[],
  { adapters, taskIds }: ResolvedGeneration,
): Promise<Float32Array[]> {
  const places = new Map<string, number>();
  const different: (readonly number[])[] = [];
  const reads = starts.map((start) => {
    const name = start.join();
    const known = places.get(name);
    if (known !== undefined) return known;
    places.set(name, different.length);
    return different.push(start) - 1;
  });
  const isOwn = adapters !== undefined || taskIds !== undefined || isEncoderDecoder(reader.model);
  if (different.length === starts.length || isOwn) return reader.next(starts);
  const logits = await reader.next(different);
  reader.select(Int32Array.from(reads));
  return reads.map((place) => logits[place]!.slice()); // each text changes its own
}

/** @returns why the text ends here, if it does */
function append(
  { prompt, limit, tokens, made }: Text,
  id: number,
  { endIds, onToken }: ResolvedGeneration,
): Generated['finishReason'] | undefined {
  tokens.push(id);
  made.push(id);
  const isStopped = onToken?.({ prompt, id, count: made.length }) === true;
  if (endIds.includes(id)) return 'end';
  if (isStopped) return 'stop';
  return made.length >= limit.tokens ? limitReason(limit) : undefined;
}
