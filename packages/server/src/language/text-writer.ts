/** Makes the texts that are asked for: prompt into tokens, tokens into pieces of text. */
import { BASE_ADAPTER } from '@peft/core';
import { PeftError } from '@peft/errors';
import {
  isEncoderDecoder,
  promptIds,
  TextStream,
  type BatchRequest,
  type BatchToken,
  type ContinuousBatch,
} from '@peft/generation';
import type { LanguageModel, LanguageTexts } from '@peft/predictor';
import type {
  TextEnd,
  TextPiece,
  TextPrompt,
  TextRequest,
  ToldToken,
} from './language-messages.js';
import type { AdapterUse, ServedAdapters } from './served-adapters.js';

export class TextWriter {
  readonly #isPair: boolean;

  constructor(
    readonly language: LanguageModel,
    readonly adapters: ServedAdapters,
    readonly batch: ContinuousBatch,
    /** Tokens of prompt and answer at most; of an encoder-decoder, of each of them. */
    readonly contextTokens: number,
  ) {
    this.#isPair = isEncoderDecoder(language.model);
  }

  /**
   * Makes a text.
   * @param tell told of each piece that is certain
   * @throws PEFT_ADAPTER_UNKNOWN, PEFT_TASK_ID_…, PEFT_CONTEXT_LENGTH, PEFT_CHAT_TEMPLATE…, PEFT_BATCH_FULL, and what
   *   `ContinuousBatch.submit` throws
   */
  async write(
    request: TextRequest,
    signal: AbortSignal,
    tell: (piece: TextPiece) => void,
  ): Promise<TextEnd> {
    const use = this.#use(request.adapter);
    try {
      const ids = tokensOf(request.prompt, use.texts, this.#isPair);
      const maxNewTokens = this.#roomFor(ids.length, request);
      const isChat = 'messages' in request.prompt;
      const stream = new TextStream(use.texts.tokenizer, request.stopStrings);
      let held: ToldToken[] = [];
      const hand = (text: string): void => {
        if (text === '' && held.length === 0) return;
        tell({ text, tokens: held });
        held = [];
      };
      const { finishReason, ids: made } = await this.batch.submit({
        promptIds: ids,
        adapter: use.id,
        taskId: request.taskId,
        vocabularySize: use.texts.vocabularySize,
        maxNewTokens,
        ...(isChat ? use.texts.chatEnds() : use.texts.ends),
        ...drawing(request, use.texts),
        seed: request.seed,
        logProbabilities: request.logProbabilities,
        adjust: adjustment(request),
        signal,
        onToken: (token) => {
          if (request.logProbabilities !== undefined) held.push(toldToken(token, use.texts));
          const { text, isStopped } = stream.push(token.id);
          hand(text);
          return isStopped;
        },
      });
      hand(finishReason === 'stop' ? '' : stream.end().text);
      return {
        finishReason: finishReason === 'position-limit' ? 'length' : finishReason,
        promptTokens: ids.length,
        completionTokens: made.length,
      };
    } finally {
      use.release();
    }
  }

  #use(adapter: string | undefined): AdapterUse {
    if (adapter !== undefined) return this.adapters.use(adapter);
    return {
      id: this.language.adapter ?? BASE_ADAPTER,
      texts: this.language,
      release: () => undefined,
    };
  }

  /** @throws PEFT_CONTEXT_LENGTH */
  #roomFor(promptTokens: number, { maxNewTokens, isMaximum }: TextRequest): number {
    if (this.#isPair && promptTokens > this.contextTokens)
      throw new PeftError(
        'PEFT_CONTEXT_LENGTH',
        `the encoder reads ${this.contextTokens} tokens at most; the prompt has ${promptTokens}.`,
        { hint: 'shorten the prompt' },
      );
    const room = this.contextTokens - (this.#isPair ? 0 : promptTokens);
    if (room < 1 || (maxNewTokens > room && !isMaximum))
      throw new PeftError(
        'PEFT_CONTEXT_LENGTH',
        `the context holds ${this.contextTokens} tokens; the prompt has ${promptTokens}, and ` +
          `${isMaximum ? 'none is left for an answer' : `${maxNewTokens} new ones were asked for`}.`,
        { hint: 'shorten the prompt, or ask for fewer tokens' },
      );
    return Math.min(room, maxNewTokens);
  }
}

/** @throws PEFT_CHAT_TEMPLATE_MISSING, PEFT_CHAT_TEMPLATE */
function tokensOf(prompt: TextPrompt, texts: LanguageTexts, isPair: boolean): readonly number[] {
  if ('ids' in prompt) return prompt.ids;
  const { tokenizer } = texts;
  if ('text' in prompt) return promptIds(prompt.text, tokenizer, isPair, texts.ends.endIds);
  const { messages, tools } = prompt;
  return tokenizer.ids(
    texts.chatTemplate().render(messages, {
      addGenerationPrompt: true,
      variables: tools === undefined ? {} : { tools },
    }),
  );
}

/**
 * How tokens are drawn: as was asked for, else as the checkpoint's makers say, else at temperature 1,
 * as OpenAI's API has it.
 */
function drawing(
  { temperature, topK, topP, repetitionPenalty }: TextRequest,
  { sampling }: LanguageTexts,
): Pick<BatchRequest, 'temperature' | 'topK' | 'topP' | 'repetitionPenalty'> {
  return {
    temperature: temperature ?? sampling.temperature ?? 1,
    topK: topK ?? sampling.topK ?? 0,
    topP: topP ?? sampling.topP ?? 1,
    repetitionPenalty: repetitionPenalty ?? sampling.repetitionPenalty ?? 1,
  };
}

/** Bias of single tokens, and the penalties of those that were made. */
function adjustment({
  logitBias,
  presencePenalty,
  frequencyPenalty,
}: TextRequest): ((logits: Float32Array, made: readonly number[]) => void) | undefined {
  if (logitBias.length === 0 && presencePenalty === 0 && frequencyPenalty === 0) return undefined;
  return (logits, made) => {
    for (const [id, bias] of logitBias) if (id < logits.length) logits[id]! += bias;
    const counts = new Map<number, number>();
    for (const id of made) counts.set(id, (counts.get(id) ?? 0) + 1);
    for (const [id, count] of counts) logits[id]! -= presencePenalty + frequencyPenalty * count;
  };
}

function toldToken({ id, logProbability, likeliest }: BatchToken, texts: LanguageTexts): ToldToken {
  const textOf = (token: number): string =>
    texts.tokenizer.allSpecialIds.has(token)
      ? (texts.tokenizer.idToToken(token) ?? '')
      : texts.tokenizer.decode([token]);
  return {
    text: textOf(id),
    logProbability: logProbability!,
    likeliest: likeliest!.map((one) => ({
      text: textOf(one.id),
      logProbability: one.logProbability,
    })),
  };
}
