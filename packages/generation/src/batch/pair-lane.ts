/** A text of an encoder-decoder, in a pass of its own. */
import { BASE_ADAPTER, type Model } from '@peft/core';
import { SequenceReader } from '../sequence-reader.js';
import type { BatchText } from './batch-request.js';
import type { Lane } from './lane.js';

/** Reads the source of one text at once, then a token of the decoder in each step. */
export class PairLane implements Lane {
  readonly isAlone = true;
  readonly #reader: SequenceReader;
  #texts: readonly BatchText[];

  constructor(
    readonly model: Model,
    text: BatchText,
  ) {
    this.#texts = [text];
    const { promptIds, taskId } = text.request;
    this.#reader = new SequenceReader(model, [promptIds], {
      cache: true,
      taskIds: taskId === undefined ? undefined : [taskId],
    });
  }

  get texts(): readonly BatchText[] {
    return this.#texts;
  }

  get cacheBytes(): number {
    return this.#reader.cacheBytes;
  }

  read(): Promise<Float32Array[]> {
    const [{ adapter, tokens }] = this.#texts as [BatchText];
    this.model.setActiveAdapters(...[adapter].filter((name) => name !== BASE_ADAPTER));
    return this.#reader.next([tokens]);
  }

  keep(numbers: readonly number[]): void {
    if (numbers.length === 0) this.dispose();
  }

  fits(): boolean {
    return false;
  }

  take(): void {
    throw new Error('a pass of an encoder-decoder has one text');
  }

  dispose(): void {
    this.#reader.dispose();
    this.#texts = [];
  }
}
