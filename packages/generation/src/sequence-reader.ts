/**
 * Reads growing sequences with a model, batched without padding, and says what may follow: with a
 * cache each token is read once.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import { KeyValueCache, rowsOf, type Model, type ModelBatch } from '@peft/core';
import { PeftError } from '@peft/errors';
import { gatherRows, offsetsOf, readInScope, readValues } from '@peft/ops';

/** How a `SequenceReader` reads. */
export interface ReaderOptions {
  readonly cache: boolean;
  /** An adapter's name per sequence. */
  readonly adapters?: readonly string[] | undefined;
  /** The task of each sequence. */
  readonly taskIds?: readonly number[] | undefined;
}

type Tokens = readonly number[];

/** Logits of what may follow growing sequences. The caller disposes of it. */
export class SequenceReader {
  /** What the encoder of an encoder-decoder reads. */
  #sources: readonly Tokens[] | undefined;
  #encoded: { readonly hidden: Tensor2D; readonly offsets: Int32Array } | undefined;
  #adapters: readonly string[] | undefined;
  #taskIds: readonly number[] | undefined;
  #cache: KeyValueCache | undefined;
  /** Tokens of each sequence that the cache has. */
  #read: readonly number[] = [];

  /**
   * @param sources the encoder's sequences, of an encoder-decoder.
   * @throws PEFT_GENERATION_HEAD when the model is not a language model
   */
  constructor(
    readonly model: Model,
    sources: readonly Tokens[] | undefined,
    options: ReaderOptions,
  ) {
    const isPair = isEncoderDecoder(model);
    if (isPair !== (sources !== undefined))
      throw new PeftError(
        'PEFT_GENERATION_SOURCES',
        isPair
          ? 'generation: an encoder-decoder needs sequences for its encoder.'
          : 'generation: a decoder has no encoder to give sequences to.',
      );
    this.#sources = sources;
    this.#adapters = options.adapters;
    this.#taskIds = options.taskIds;
    this.#cache = options.cache ? new KeyValueCache() : undefined;
  }

  /** Bytes that keys and values take now. */
  get cacheBytes(): number {
    return this.#cache?.byteLength ?? 0;
  }

  /**
   * @param sequences all tokens of each, none read differently before.
   * @returns logits of the token that follows each, `[B]` rows of V
   */
  async next(sequences: readonly Tokens[]): Promise<Float32Array[]> {
    try {
      return await this.#run(sequences);
    } catch (error) {
      if (!(error instanceof PeftError && error.code === 'PEFT_CACHE_STALE')) throw error;
      this.#cache!.dispose();
      this.#read = [];
      return this.#run(sequences);
    }
  }

  /** Goes on with these sequences in this order; one may repeat. */
  select(chosen: Int32Array): void {
    const pick = <T>(list: readonly T[]): T[] => Array.from(chosen, (b) => list[b]!);
    this.#cache?.select(chosen);
    this.#read = this.#read.length ? pick(this.#read) : [];
    this.#adapters = this.#adapters && pick(this.#adapters);
    this.#taskIds = this.#taskIds && pick(this.#taskIds);
    const before = this.#sources;
    this.#sources = before && pick(before);
    if (
      !this.#encoded ||
      (before?.length === chosen.length &&
        this.#sources!.every((source, b) => source === before[b]))
    )
      return;
    const { hidden, offsets } = this.#encoded;
    this.#encoded = {
      hidden: tf.keep(gatherRows(hidden, rowsOf(offsets, chosen))),
      offsets: offsetsOf(Array.from(chosen, (b) => offsets[b + 1]! - offsets[b]!)),
    };
    hidden.dispose();
  }

  /** Frees the cache. */
  dispose(): void {
    this.#cache?.dispose();
    this.#encoded?.hidden.dispose();
    this.#encoded = undefined;
    this.#read = [];
  }

  async #run(sequences: readonly Tokens[]): Promise<Float32Array[]> {
    const fresh = packed(
      this.#read.length ? sequences.map((sequence, b) => sequence.slice(this.#read[b])) : sequences,
    );
    const reading = readInScope(() => {
      const output = this.model.forward(this.#batch(fresh), {
        logitRows: 'last',
        cache: this.#cache,
        assignment: this.#adapters,
      });
      if (this.#sources && !this.#encoded)
        this.#encoded = { hidden: tf.keep(output.encoderHidden!), offsets: output.encoderOffsets! };
      if (this.#cache) this.#read = sequences.map(({ length }) => length);
      return readValues(output.logits!); // the next token is chosen on the host
    });
    const logits = await reading;
    const width = logits.length / sequences.length;
    return sequences.map((_, b) => logits.subarray(b * width, (b + 1) * width));
  }

  #batch(fresh: Pick<ModelBatch, 'inputIds' | 'offsets'>): ModelBatch {
    const taskIds = this.#taskIds && Int32Array.from(this.#taskIds);
    if (!this.#sources) return { ...fresh, taskIds };
    return {
      ...packed(this.#sources),
      taskIds,
      decoder: fresh,
      encoded: this.#encoded,
    };
  }
}

/** Whether the model has an encoder for the prompt. @throws PEFT_GENERATION_HEAD */
export function isEncoderDecoder({ description: { head, modelType } }: Model): boolean {
  if (head.kind === 'seq2seq-lm') return true;
  if (head.kind === 'causal-lm') return false;
  throw new PeftError(
    'PEFT_GENERATION_HEAD',
    `generation: this ${modelType} has the head "${head.kind}", which writes no text.`,
    {
      hint: "load it with head: { kind: 'causal-lm' }, or { kind: 'seq2seq-lm' } for an encoder-decoder",
    },
  );
}

const packed = (rows: readonly Tokens[]): Pick<ModelBatch, 'inputIds' | 'offsets'> => ({
  inputIds: Int32Array.from(rows.flat()),
  offsets: offsetsOf(rows.map(({ length }) => length)),
});
