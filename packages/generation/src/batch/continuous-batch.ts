/**
 * Texts of different adapters that join and leave a running batch token by token.
 *
 * Each step makes one token of every running text and reads one piece of a waiting prompt, so that a
 * long prompt never holds the others up for more than a piece. What comes out for one text does not
 * depend on the others. Adapters that change rows alone (LoRA, IA3) share one pass; others (prefixes,
 * virtual tokens, bottlenecks) run in a lane of their own, and so does each text of an
 * encoder-decoder, whose source is read at once.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { BASE_ADAPTER, modelTasks, requireTaskIds, type Model } from '@peft/core';
import { check, PeftError } from '@peft/errors';
import { chooseToken, forceToken, penalizeRepetition } from '../choose-token.js';
import { lengthLimits, limitReason } from '../position-limit.js';
import { resolveGeneration, type Generated } from '../generation-options.js';
import { isEncoderDecoder } from '../sequence-reader.js';
import type { BatchRequest, BatchText } from './batch-request.js';
import { DecoderLane, type Lane } from './lane.js';
import { PairLane } from './pair-lane.js';
import { tokenProbabilities } from './token-probabilities.js';

/** Bounds of a continuous batch. */
export interface ContinuousBatchOptions {
  /** Texts that run at once at most. Default 32. */
  readonly maxSequences?: number;
  /**
   * Tokens, prompts and answers together, that the caches of all running texts hold at most. A text
   * takes its prompt and `maxNewTokens`. Default 65,536.
   */
  readonly maxCacheTokens?: number;
  /** Texts that wait at most. Default 256. */
  readonly maxWaiting?: number;
  /** Tokens of a prompt that are read in one step. Default 256. */
  readonly prefillTokens?: number;
}

interface Waiting {
  readonly text: BatchText;
  readonly resolve: (generated: Generated) => void;
  readonly reject: (reason: unknown) => void;
}

/** Lane of adapters that share passes. */
const MIXED = '';

/**
 * Writes texts of many callers in one batch that they join and leave token by token (Yu et al.
 * 2022, "Orca"); prompts are read in chunks between two steps of the others (Agrawal et al. 2023,
 * "SARATHI").
 */
export class ContinuousBatch {
  readonly #options: Required<ContinuousBatchOptions>;
  readonly #waiting: Waiting[] = [];
  readonly #running = new Map<BatchText, Waiting>();
  /** Prompts that are being read. */
  #prefill: { readonly key: string; readonly lane: Lane } | undefined;
  readonly #lanes: { readonly key: string; readonly lane: Lane }[] = [];
  /** Whether texts of one pass influence one another: known from the first prompt on. */
  #isAlone: boolean | undefined;
  readonly #isPair: boolean;
  #reserved = 0;
  #isLooping = false;
  #isDisposed = false;

  /**
   * The model is the batch's own while texts run: its active adapters change.
   * @throws PEFT_GENERATION_HEAD for a model that writes no text, PEFT_CONFIG_INVALID
   */
  constructor(
    readonly model: Model,
    options: ContinuousBatchOptions = {},
  ) {
    this.#isPair = isEncoderDecoder(model);
    check.knownKeys('ContinuousBatch', options, [
      'maxSequences',
      'maxCacheTokens',
      'maxWaiting',
      'prefillTokens',
    ]);
    this.#options = {
      maxSequences: options.maxSequences ?? 32,
      maxCacheTokens: options.maxCacheTokens ?? 65_536,
      maxWaiting: options.maxWaiting ?? 256,
      prefillTokens: options.prefillTokens ?? 256,
    };
    for (const [name, value] of Object.entries(this.#options))
      check.positiveInteger('ContinuousBatch', name, value);
  }

  /** Texts that wait for a place. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** Texts that run, those whose prompt is being read among them. */
  get running(): number {
    return this.#running.size;
  }

  /** Bytes that keys and values take now. */
  get cacheBytes(): number {
    return [this.#prefill, ...this.#lanes].reduce(
      (sum, entry) => sum + (entry?.lane.cacheBytes ?? 0),
      0,
    );
  }

  /**
   * Makes a text.
   * @throws PEFT_BATCH_FULL when too many wait, PEFT_BATCH_TOO_LONG when it could never fit,
   *   PEFT_GENERATION_PROMPT for an empty prompt, PEFT_TOKEN_ID_RANGE, PEFT_ADAPTER_UNKNOWN, PEFT_TASK_ID_…,
   *   PEFT_CONFIG_INVALID; the signal's reason when aborted; what the model throws
   */
  async submit(request: BatchRequest): Promise<Generated> {
    const text = this.#textOf(request);
    request.signal?.throwIfAborted();
    if (this.#waiting.length >= this.#options.maxWaiting)
      throw new PeftError(
        'PEFT_BATCH_FULL',
        `generation: ${this.#waiting.length} texts are waiting, which is as many as may.`,
        { hint: 'try again later, or raise maxWaiting' },
      );
    return new Promise<Generated>((resolve, reject) => {
      this.#waiting.push({ text, resolve, reject });
      void this.#loop();
    });
  }

  /** Frees the caches; texts that wait or run are rejected. */
  dispose(): void {
    this.#isDisposed = true;
    const gone = new PeftError('PEFT_BATCH_DISPOSED', 'generation: the batch was disposed of.', {
      hint: 'make another one',
    });
    for (const { reject } of [...this.#waiting, ...this.#running.values()]) reject(gone);
    this.#waiting.length = 0;
    this.#running.clear();
    this.#prefill?.lane.dispose();
    this.#prefill = undefined;
    for (const { lane } of this.#lanes) lane.dispose();
    this.#lanes.length = 0;
  }

  #textOf(request: BatchRequest): BatchText {
    const {
      promptIds,
      adapter = BASE_ADAPTER,
      taskId,
      logProbabilities: _,
      adjust: __,
      onToken: ___,
      vocabularySize: ____,
      ...rest
    } = request;
    if (this.#isDisposed)
      throw new PeftError('PEFT_BATCH_DISPOSED', 'generation: the batch was disposed of.', {
        hint: 'make another one',
      });
    const given = resolveGeneration(rest, 1);
    const options = this.#isPair ? given : { ...given, firstId: undefined };
    if (promptIds.length === 0)
      throw new PeftError('PEFT_GENERATION_PROMPT', 'generation: the prompt has no tokens.', {
        hint: "start it with the tokenizer's begin token",
      });
    const { vocabularySize = this.model.description.vocabularySize } = request;
    const odd = promptIds.find((id) => !(Number.isInteger(id) && id >= 0 && id < vocabularySize));
    if (odd !== undefined)
      throw new PeftError(
        'PEFT_TOKEN_ID_RANGE',
        `generation: the prompt has the token id ${odd}, the model knows those below ${vocabularySize}.`,
        { hint: "use the model's own tokenizer" },
      );
    const tasks = modelTasks(this.model, adapter === BASE_ADAPTER ? [] : [adapter]);
    requireTaskIds('generation', tasks, taskId === undefined ? undefined : [taskId]);
    const reserved = promptIds.length + options.maxNewTokens;
    if (reserved > this.#options.maxCacheTokens)
      throw new PeftError(
        'PEFT_BATCH_TOO_LONG',
        `generation: a prompt of ${promptIds.length} tokens and ${options.maxNewTokens} new ones ` +
          `are more than the ${this.#options.maxCacheTokens} that the cache may hold.`,
        { hint: 'ask for fewer tokens, shorten the prompt, or raise maxCacheTokens' },
      );
    const start = this.#isPair ? options.startIds : promptIds;
    const [limit] = lengthLimits(this.model, [start], options.maxNewTokens, [adapter]);
    return {
      request,
      options,
      adapter,
      limit: limit!,
      tokens: [...start],
      made: [],
      reserved,
    };
  }

  async #loop(): Promise<void> {
    if (this.#isLooping) return;
    this.#isLooping = true;
    try {
      await nextTurn(); // requests of the same turn begin together
      while (!this.#isDisposed && this.#waiting.length + this.#running.size > 0) {
        await this.#step();
        await nextTurn();
      }
    } finally {
      this.#isLooping = false;
    }
  }

  async #step(): Promise<void> {
    this.#dropAborted();
    for (const entry of [...this.#lanes]) await this.#advance(entry.lane);
    if (this.#isDisposed) return;
    this.#removeEmpty();
    this.#prefill ??= this.#admit();
    const prefill = this.#prefill;
    if (!prefill) return;
    if (!(await this.#advance(prefill.lane))) return; // more of the prompt is left
    if (this.#isDisposed) return;
    this.#prefill = undefined;
    this.#isAlone ??= prefill.lane.isAlone;
    if (prefill.lane.texts.length === 0) return prefill.lane.dispose();
    const home = this.#lanes.find(
      ({ key, lane }) => key === prefill.key && lane.fits(prefill.lane),
    );
    if (home) home.lane.take(prefill.lane);
    else this.#lanes.push(prefill);
  }

  /** @returns whether each text of the lane got its next token (or all of them failed) */
  async #advance(lane: Lane): Promise<boolean> {
    const { texts } = lane;
    try {
      const logits = await lane.read(this.#options.prefillTokens);
      if (!logits) return false;
      if (this.#isDisposed) return true; // while the logits were read
      const going: number[] = [];
      texts.forEach((text, b) => {
        const own = logits[b]!.subarray(0, text.request.vocabularySize);
        if (this.#append(text, own)) going.push(b);
      });
      lane.keep(going);
    } catch (error) {
      for (const text of texts) this.#leave(text)?.reject(error);
      lane.dispose();
    }
    return true;
  }

  /** Chooses the next token of a text. @returns whether it goes on */
  #append(text: BatchText, logits: Float32Array): boolean {
    const { request, options, tokens, made } = text;
    const { logProbabilities } = request;
    try {
      const before = logProbabilities === undefined ? undefined : logits.slice();
      request.adjust?.(logits, made);
      penalizeRepetition(logits, tokens, options.repetitionPenalty);
      forceToken(logits, made.length, text.limit.tokens, options);
      const id = chooseToken(logits, options, 0, made.length);
      tokens.push(id);
      made.push(id);
      const told = before && tokenProbabilities(before, id, logProbabilities!);
      const isStopped = request.onToken?.({ id, count: made.length, ...told }) === true;
      const reason = finishReason(text, id, isStopped);
      if (reason === undefined) return true;
      this.#leave(text)?.resolve({ ids: made, finishReason: reason });
    } catch (error) {
      this.#leave(text)?.reject(error); // of a listener: the others go on
    }
    return false;
  }

  /** The prompts to be read next: one long one, or short ones of one kind that fit a piece together. */
  #admit(): { readonly key: string; readonly lane: Lane } | undefined {
    const chosen: Waiting[] = [];
    let key: string | undefined;
    let tokens = 0;
    while (this.#waiting.length > 0) {
      const { text } = this.#waiting[0]!;
      const isFull =
        this.#running.size >= this.#options.maxSequences ||
        this.#reserved + text.reserved > this.#options.maxCacheTokens;
      const isOther =
        chosen.length > 0 &&
        (this.#isPair ||
          this.#isAlone !== false ||
          key !== this.#keyOf(text) ||
          tokens + text.tokens.length > this.#options.prefillTokens);
      if (isFull || isOther) break;
      key = this.#keyOf(text);
      tokens += text.tokens.length;
      this.#reserved += text.reserved;
      const next = this.#waiting.shift()!;
      this.#running.set(text, next);
      chosen.push(next);
    }
    if (key === undefined) return undefined;
    const texts = chosen.map(({ text }) => text);
    const lane = this.#isPair
      ? new PairLane(this.model, texts[0]!)
      : new DecoderLane(this.model, texts);
    return { key, lane };
  }

  #keyOf({ adapter }: BatchText): string {
    return adapter === BASE_ADAPTER || this.model.isMixable(adapter) ? MIXED : adapter;
  }

  #dropAborted(): void {
    for (let at = this.#waiting.length - 1; at >= 0; at -= 1) {
      const { signal } = this.#waiting[at]!.text.request;
      if (signal?.aborted) this.#waiting.splice(at, 1)[0]!.reject(signal.reason);
    }
    for (const entry of [this.#prefill, ...this.#lanes]) {
      const { texts } = entry?.lane ?? { texts: [] };
      const going = [...texts.keys()].filter((b) => !texts[b]!.request.signal?.aborted);
      if (going.length === texts.length) continue;
      for (const text of texts)
        if (text.request.signal?.aborted)
          this.#leave(text)?.reject(text.request.signal.reason as unknown);
      entry!.lane.keep(going);
    }
    if (this.#prefill?.lane.texts.length === 0) {
      this.#prefill.lane.dispose();
      this.#prefill = undefined;
    }
    this.#removeEmpty();
  }

  #removeEmpty(): void {
    for (let at = this.#lanes.length - 1; at >= 0; at -= 1)
      if (this.#lanes[at]!.lane.texts.length === 0) this.#lanes.splice(at, 1)[0]!.lane.dispose();
  }

  #leave(text: BatchText): Waiting | undefined {
    const left = this.#running.get(text);
    if (this.#running.delete(text)) this.#reserved -= text.reserved;
    return left;
  }
}

function finishReason(
  { options, limit, made }: BatchText,
  id: number,
  isStopped: boolean,
): Generated['finishReason'] | undefined {
  if (options.endIds.includes(id)) return 'end';
  if (isStopped) return 'stop';
  return made.length >= limit.tokens ? limitReason(limit) : undefined;
}
