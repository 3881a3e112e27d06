/** Texts in, texts out: tokenising, stop strings and streaming around `generate`. */
import type { Model } from '@peft/core';
import { markOnce, specialAround, type TextTokenizer } from '@peft/data';
import { check, didYouMean, PeftError, show } from '@peft/errors';
import { generate } from './generate.js';
import type { Generated, GenerationOptions, TokenEvent } from './generation-options.js';
import { isEncoderDecoder } from './sequence-reader.js';
import { TextStream } from './text-stream.js';

/** What came out of one prompt, as ids and as text. */
export interface GeneratedText extends Generated {
  /** Without special tokens, and without the stop string that ended it. */
  readonly text: string;
}

/** Options of `generateTexts`: those of `generate`, and what concerns texts. */
export interface TextGenerationOptions extends Omit<GenerationOptions, 'onToken'> {
  /** The text ends before any of these. */
  readonly stopStrings?: readonly string[];
  /** Tokens that end a text beside `endIds`, by name: `<|im_end|>`. */
  readonly endTokens?: readonly string[];
  /** Prompts that are computed at once. Default 16. */
  readonly batchSize?: number;
  /** Told of each piece of text as soon as it is certain; not with beams. */
  readonly onText?: (piece: { readonly prompt: number; readonly text: string }) => void;
}

/** A text, or token ids that are taken as they are. */
export type Prompt = string | readonly number[];

/**
 * Generates a text after each prompt, or, with an encoder-decoder, the text that it makes of it. See
 * {@link generate}.
 * @throws what `generate` throws; PEFT_CONFIG_INVALID for stop strings with beams
 */
export async function generateTexts(
  model: Model,
  tokenizer: TextTokenizer,
  prompts: readonly Prompt[],
  options: TextGenerationOptions = {},
): Promise<GeneratedText[]> {
  const {
    stopStrings = [],
    endTokens = [],
    batchSize = 16,
    onText,
    adapters,
    taskIds,
    ...rest
  } = options;
  check.positiveInteger('generation', 'batchSize', batchSize);
  const bad = stopStrings.find((stop) => typeof stop !== 'string' || stop === '');
  if (bad !== undefined)
    throw new PeftError(
      'PEFT_CONFIG_INVALID',
      `generation: a stop string must be a text that is not empty, got ${show(bad)}.`,
    );
  const endIds = [
    ...new Set([...(rest.endIds ?? []), ...endTokens.map((token) => idOf(token, tokenizer))]),
  ];
  const isStreamed = (rest.beams ?? 1) === 1;
  if (!isStreamed && (stopStrings.length > 0 || onText))
    throw new PeftError(
      'PEFT_CONFIG_INVALID',
      'generation: beam search has no text before its end, so it takes neither stop strings nor onText.',
      { hint: 'leave out beams' },
    );
  const isPair = isEncoderDecoder(model);
  const ids = prompts.map((prompt) =>
    typeof prompt === 'string' ? promptIds(prompt, tokenizer, isPair, endIds) : prompt,
  );
  const results: GeneratedText[] = [];
  for (let first = 0; first < ids.length; first += batchSize) {
    const streams = ids
      .slice(first, first + batchSize)
      .map(() => new TextStream(tokenizer, stopStrings));
    const texts = streams.map(() => '');
    const hand = (prompt: number, text: string): void => {
      if (text === '') return;
      texts[prompt] += text;
      onText?.({ prompt: first + prompt, text });
    };
    const receive = ({ prompt, id }: TokenEvent): boolean => {
      const { text, isStopped } = streams[prompt]!.push(id);
      hand(prompt, text);
      return isStopped;
    };
    const made = await generate(model, ids.slice(first, first + batchSize), {
      ...rest,
      endIds,
      adapters: adapters?.slice(first, first + batchSize),
      taskIds: taskIds?.slice(first, first + batchSize),
      onToken: isStreamed ? receive : undefined,
    });
    made.forEach((result, b) => {
      if (!isStreamed) return void results.push({ ...result, text: tokenizer.decode(result.ids) });
      if (result.finishReason !== 'stop') hand(b, streams[b]!.end().text);
      results.push({ ...result, text: texts[b]! });
    });
  }
  return results;
}

/** @throws PEFT_CONFIG_INVALID for a token that the vocabulary lacks */
function idOf(token: string, tokenizer: TextTokenizer): number {
  const id = tokenizer.tokenToId(token);
  if (id !== undefined) return id;
  const special = [...tokenizer.allSpecialIds].flatMap((each) => tokenizer.idToToken(each) ?? []);
  throw new PeftError(
    'PEFT_CONFIG_INVALID',
    `generation: the vocabulary has no token ${show(token)} to end a text.`,
    { hint: `${didYouMean(token, special)} Special tokens: ${special.join(', ')}.`.trim() },
  );
}

/**
 * With the special tokens that the tokenizer puts around a text; a decoder goes on, so one that
 * ends the text is left out.
 */
export function promptIds(
  text: string,
  tokenizer: TextTokenizer,
  isPair: boolean,
  endIds: readonly number[],
): readonly number[] {
  const own = tokenizer.ids(text);
  const { before, after } = specialAround(tokenizer);
  // A text that was rendered by a template brings its begin token along.
  const { ids: marked, isMarked } = markOnce(own, { before, after: isPair ? after : [] });
  const ids = [...(isMarked ? marked : tokenizer.encode(text).ids)];
  if (!isPair)
    while (
      ids.length > 1 &&
      endIds.includes(ids.at(-1)!) &&
      ids.at(-1) !== tokenizer.specialIds.bos
    )
      ids.pop();
  return ids;
}
