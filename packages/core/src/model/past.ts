/** What stands in front of the tokens of a run: rows of a cache, and tokens that adapters pretend. */
import type { Tensor2D } from '@tensorflow/tfjs';
import { positionsOf } from '@peft/ops';
import type { ModelDescription } from '../description/model-description.js';
import { siteAt, siteIndex } from '../description/site-index.js';
import type { AttentionSite } from '../description/sites.js';
import type { AdapterScope } from './adapter-scope.js';
import type { KeyValues } from './cache/cached-rows.js';
import type { KeyValueCache } from './cache/key-value-cache.js';

/** The past of each stack of a model in one run. */
export class Past {
  readonly #description: ModelDescription;
  readonly #scope: AdapterScope;
  readonly #cache: KeyValueCache | undefined;

  constructor(
    description: ModelDescription,
    scope: AdapterScope,
    cache: KeyValueCache | undefined,
  ) {
    this.#description = description;
    this.#scope = scope;
    this.#cache = cache;
  }

  /**
   * The cache, where it takes part in a stack: not in an encoder, which reads everything at once.
   */
  cacheOf(stack: AttentionSite['stack']): KeyValueCache | undefined {
    return stack === 'encoder' ? undefined : this.#cache;
  }

  /** The cache, where it takes part in an attention. */
  cacheAt(path: string): KeyValueCache | undefined {
    return this.cacheOf(siteAt(this.#description, 'attention', path).stack);
  }

  /**
   * Tokens that adapters pretend stand in front of every sequence of a stack: positions start
   * there.
   */
  pretended(stack: AttentionSite['stack']): number {
    const first = siteIndex(this.#description).firstAttention.get(stack);
    return first === undefined
      ? 0
      : this.#scope
          .at('attention', first)
          .reduce((sum, { attachment }) => sum + (attachment.pastLength ?? 0), 0);
  }

  /**
   * Position of each row of a stack `[N]`: behind what a cache holds, else behind the tokens that
   * adapters pretend.
   */
  positions(stack: AttentionSite['stack'], offsets: Int32Array): Int32Array {
    const cached = this.cacheOf(stack)?.lengths;
    const positions = positionsOf(offsets, cached ? 0 : this.pretended(stack));
    cached?.forEach((length, b) =>
      positions
        .subarray(offsets[b], offsets[b + 1])
        .forEach((position, t, own) => (own[t] = position + length)),
    );
    return positions;
  }

  /** Keys and values of an attention with those of the cache in front, which keeps them all. */
  extend(path: string, added: KeyValues): KeyValues {
    return this.cacheAt(path)?.extend(this.#scope.copyPrefix + path, added) ?? added;
  }

  /** The same of an attention beside the blocks of a stack, under a name of its own. */
  extendBeside(name: string, stack: AttentionSite['stack'], added: KeyValues): KeyValues {
    return this.cacheOf(stack)?.extend(name, added) ?? added;
  }

  /**
   * Whether the cache holds rows of an attention: those that stand in front of a sequence are among
   * them.
   */
  holds(path: string): boolean {
    return this.cacheAt(path)?.holds(this.#scope.copyPrefix + path) ?? false;
  }

  /**
   * Keys and values of cross attention: made in the first run with a cache only.
   * @param offsets layout of what they are made of
   */
  remember(
    path: string,
    offsets: Int32Array,
    make: () => readonly [Tensor2D, Tensor2D],
  ): readonly [Tensor2D, Tensor2D] {
    return this.#cache
      ? this.#cache.remember(this.#scope.copyPrefix + path, offsets, make)
      : make();
  }
}
