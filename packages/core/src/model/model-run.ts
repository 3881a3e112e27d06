/**
 * One forward pass: what an architecture calls to reach weights and whatever is attached to its
 * sites.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs';
import {
  activate,
  add,
  dropout,
  embed,
  freezeTensor,
  gatherRows,
  insertRows,
  layerNorm,
  linear,
  linearActivated,
  linearAdded,
  randomKey,
  rmsNorm,
  type ActivationName,
  type Weight,
} from '@peft/ops';
import type { Adapter } from '../adapter/adapter.js';
import { attachmentCall, looksAtSequences } from '../adapter/attachment-call.js';
import type { ModelDescription } from '../description/model-description.js';
import { siteAt, siteIndex } from '../description/site-index.js';
import type { SiteOf } from '../description/sites.js';
import type { AttachmentCall, BlockCopy, SublayerCall } from '../method/attachment.js';
import { AdapterScope, type InForce, wrapped } from './adapter-scope.js';
import { MixedBatch, type AroundBase, type RowMap, type RowSite } from './mixed-batch.js';
import { Ahead } from './pass/ahead.js';
import { Past } from './past.js';
import type { ExtraKeyValues, RunHost, RunOptions } from './run-options.js';
import { SequenceLayouts } from './sequence-layouts.js';
import { StackPasses } from './stack/stack-passes.js';
import { blockInputs, requireRunOptions, rowsElsewhere } from './stage/stage-state.js';

/** One forward pass over one batch. */
export class ModelRun {
  readonly training: boolean;
  readonly wantsHiddenStates: boolean;
  readonly #scope: AdapterScope;
  /** Which rows belong to which sequence. */
  readonly layouts: SequenceLayouts;
  /** What stands in front of the tokens. */
  readonly past: Past;
  readonly ahead = new Ahead();
  readonly #mixed: MixedBatch | undefined;
  readonly #stacks: StackPasses;
  /** Which pass through shared modules this is; 0 the first. */
  #pass = 0;

  /** @throws PEFT_CACHE_TRAINING, PEFT_MIXED_BATCH, PEFT_STAGE_UNSUPPORTED, PEFT_STAGE_INPUT */
  constructor(
    readonly host: RunHost,
    readonly options: RunOptions = {},
  ) {
    const { training = false, hiddenStates = false, assignment, cache } = options;
    [this.training, this.wantsHiddenStates] = [training, hiddenStates];
    requireRunOptions(host, options);
    this.#scope = new AdapterScope(host, assignment ? [] : host.active);
    this.layouts = new SequenceLayouts(host.description);
    this.past = new Past(host.description, this.#scope, cache);
    this.#mixed =
      assignment && new MixedBatch(host, this.#scope, this.layouts, assignment, training);
    this.#stacks = new StackPasses({
      ...{ host, scope: this.#scope, layouts: this.layouts, past: this.past },
      isMixed: assignment !== undefined,
      call: (owner, path) => this.callOf(owner, path),
    });
  }

  get description(): ModelDescription {
    return this.host.description;
  }

  /**
   * y = x·Wᵀ + b of a linear site with whatever is attached, and `activation` of that. x `[N, in]`,
   * y `[N, out]`.
   */
  linear(path: string, x: Tensor2D, activation?: ActivationName): Tensor2D {
    const site = siteAt(this.description, 'linear', path);
    const own = () => [this.matrix(site.weight), this.#biasOf(site)] as const;
    const map: RowMap = (input) => linear(input, ...own());
    return tf.tidy(() =>
      this.#mapped(site, x, map, (rows, base) => {
        const attached = this.#scope.at('linear', path);
        if (activation && attached.length === 0 && base === map)
          return linearActivated(activation, rows, ...own());
        const added = base === map ? attached[0]?.attachment.added?.(this) : undefined;
        const inner = added ? (some: Tensor2D) => linearAdded(some, ...own(), added) : base;
        const y = this.#wrapped(path, attached.slice(added ? 1 : 0), inner)(rows);
        return activation ? activate(activation, y) : y;
      }),
    );
  }

  /**
   * The norm of a norm site. x `[N, D]`, or `[N, H·D]`, where each of H heads is normed on its own.
   * @param gammaOffset added to γ (Gemma, Nemotron: 1).
   */
  norm(path: string, x: Tensor2D, epsilon: number, gammaOffset = 0): Tensor2D {
    const site = siteAt(this.description, 'norm', path);
    const base = (input: Tensor2D): Tensor2D => {
      const gamma = this.vector(site.weight) as Tensor1D;
      return site.variant === 'layer'
        ? layerNorm(input, gamma, this.#biasOf(site), epsilon, { gammaOffset })
        : rmsNorm(input, gamma, epsilon, { gammaOffset });
    };
    return this.#byAdapter(site, x.shape[0], (part) => {
      const rows = part ? gatherRows(x, part) : x;
      const isWhole = rows.shape[1] === site.size;
      const norm = this.#wrapped(path, this.#scope.at('norm', path), base);
      const normed = norm(isWhole ? rows : (tf.reshape(rows, [-1, site.size]) as Tensor2D));
      return isWhole ? normed : (tf.reshape(normed, rows.shape) as Tensor2D);
    });
  }

  /** Rows of an embedding site. ids `[N]`, result `[N, D]`. */
  embed(path: string, ids: Int32Array): Tensor2D {
    const site = siteAt(this.description, 'embedding', path);
    const table = (): Weight =>
      site.tiedTo === undefined ? this.matrix(site.weight) : this.#tiedMatrix(site.weight);
    const run = (input: Int32Array): Tensor2D =>
      wrapped(
        [...this.#followed(site), ...this.#scope.at('embedding', path)],
        (some: Int32Array) =>
          this.host.holds(site.weight)
            ? embed(table(), some)
            : rowsElsewhere(some.length, site.size),
        ({ attachment, owner }, some, inner) =>
          attachment.forward(some, inner, this.callOf(owner, path)),
      )(input);
    return this.#byAdapter(site, ids.length, (rows) => run(rows ? rows.map((n) => ids[n]!) : ids));
  }

  /**
   * The output layer of a language model, x·Wᵀ + b. Where it is tied to an embedding (its weight is
   * the embedding's) what is attached to that embedding has its say, too.
   */
  outputLayer(path: string, x: Tensor2D): Tensor2D {
    const site = siteAt(this.description, 'linear', path);
    const tied = siteIndex(this.description).embeddingOf.get(site.weight);
    if (tied === undefined) return this.linear(path, x);
    return this.#mapped(
      site,
      x,
      (input) => linear(input, this.#tiedMatrix(site.weight), this.#biasOf(site)),
      (rows, base) => {
        const output = wrapped(
          this.#scope.at('embedding', tied),
          base,
          ({ attachment }, input: Tensor2D, inner) =>
            attachment.forwardOutput?.(input, inner) ?? inner(input),
        );
        return this.#wrapped(path, this.#scope.at('linear', path), output)(rows);
      },
    );
  }

  /**
   * Weight and bias of an output layer, for a loss that never makes its logits; undefined where an
   * adapter stands on it.
   */
  plainOutputLayer(
    path: string,
  ): { readonly weight: Weight; readonly bias?: Tensor1D } | undefined {
    const site = siteAt(this.description, 'linear', path);
    const tied = siteIndex(this.description).embeddingOf.get(site.weight);
    const isChanged =
      this.#mixed !== undefined ||
      this.#scope.at('linear', path).length > 0 ||
      (tied !== undefined &&
        this.#scope.at('embedding', tied).some(({ attachment }) => attachment.forwardOutput));
    return isChanged
      ? undefined
      : { weight: this.#tiedMatrix(site.weight), bias: this.#biasOf(site) };
  }

  /**
   * What adapters give an attention site: keys and values `[P, keyValueHeads·headSize]` beside the
   * sequences, and those that stand in for `past` tokens in front of them; `[B·P, …]` where they
   * differ by sequence.
   */
  extraKeyValues(path: string, hidden: Tensor2D, offsets: Int32Array): readonly ExtraKeyValues[] {
    return this.#scope.at('attention', path).flatMap(({ attachment, owner }) => {
      const made = attachment.extend?.(
        this.layouts.toldTo(path, { ...this.callOf(owner, path), hidden }, offsets),
      );
      if (!made) return [];
      const { keys, values, perSequence = false } = made;
      if (perSequence && this.past.cacheAt(path)) throw looksAtSequences(path);
      if (perSequence) this.layouts.refuseSharedStart(path);
      return { keys, values, perSequence, isPast: (attachment.pastLength ?? 0) > 0 };
    });
  }

  /** `made` `[N, heads·headSize]` by an attention, with what adapters add to it. */
  attended(path: string, queries: Tensor2D, made: Tensor2D): Tensor2D {
    return this.#scope.at('attention', path).reduce((sum, { attachment, owner }) => {
      const added = attachment.add?.({ ...this.callOf(owner, path), queries });
      return added ? add(sum, added) : sum;
    }, made);
  }

  /**
   * Closes a residual branch: norm(residual + output), or what adapters make of it.
   * @param call.norm the norm after the residual, absent in pre-norm models.
   */
  sublayer(
    path: string,
    call: Pick<SublayerCall, 'input' | 'output' | 'residual' | 'offsets'> & {
      readonly norm?: (x: Tensor2D) => Tensor2D;
    },
  ): Tensor2D {
    const { norm } = call;
    type Close = SublayerCall['close'];
    const base: Close = (output, { bare = false } = {}) => {
      if (bare) return output;
      const sum = add(call.residual, output);
      return norm ? norm(sum) : sum;
    };
    // The innermost adapter is the first to get the branch's output, and the outermost closes.
    return tf.tidy(() =>
      this.#scope.at('sublayer', path).reduceRight<Close>((close, { attachment, owner }) =>
          (output) =>
            attachment.forward(
              this.layouts.toldTo(
                path,
                { ...this.callOf(owner, path), ...call, output, norm, close },
                call.offsets,
              ),
            ), base)(call.output),
    );
  }

  /**
   * Puts the adapters' virtual tokens in front of each sequence. x `[N, D]` → `[N + B·P, D]` with
   * its new layout.
   */
  sequence(
    path: string,
    x: Tensor2D,
    offsets: Int32Array,
  ): { x: Tensor2D; offsets: Int32Array; extra: number } {
    let result = { x, offsets, extra: 0 };
    const { stack } = siteAt(this.description, 'sequence', path);
    const isContinued = this.past.cacheOf(stack)?.lengths !== undefined; // they are in the cache
    for (const { attachment, owner } of isContinued ? [] : this.#scope.at('sequence', path)) {
      const prefix = attachment.prefix(this.callOf(owner, path));
      const roots = this.layouts.rootsOf(result.offsets);
      const { count, ...inserted } = insertRows(result.x, roots, prefix, attachment.perSequence);
      const longer = this.layouts.behindVirtual(count) ?? inserted.offsets;
      result = { x: inserted.x, offsets: longer, extra: result.extra + count };
    }
    this.layouts.use(result.offsets);
    if (result.extra > 0) this.layouts.shiftPadding(offsets, result.offsets, result.extra);
    if (stack === 'encoder') this.layouts.useMemory(result.offsets);
    return result;
  }

  /**
   * Position of each row of a stack `[N]`: behind the tokens of a cache, those that adapters pretend,
   * and those that the row's sequence shares.
   */
  positions(stack: SiteOf<'attention'>['stack'], offsets: Int32Array): Int32Array {
    return this.layouts.behindShared(this.past.positions(stack, offsets), offsets);
  }

  /**
   * Runs `body` on rows that belong to no sequence, but to all of them (a table of relative
   * positions).
   */
  sharedRows<T>(body: () => T): T {
    return this.layouts.shared(body);
  }

  /**
   * A small base tensor as it is (a bias, a table of relative positions), unfrozen where an adapter
   * trains it.
   */
  vector(name: string): Tensor {
    return this.#scope.parameter(name) as Tensor;
  }

  /** A matrix or table, unfrozen where an adapter trains it. */
  matrix(name: string): Weight {
    return this.#scope.parameter(name) as Weight;
  }

  /**
   * Frozen tensors that depend on `key` alone (rotary tables): made once, kept and disposed by the
   * model.
   */
  constants(key: string, make: () => readonly Tensor[]): readonly Tensor[] {
    const found = this.host.constants.get(key);
    if (found) return found;
    const made = make().map((tensor) => tf.keep(freezeTensor(tensor)));
    this.host.constants.set(key, made);
    return made;
  }

  /** Runs one block: a tidy scope, recomputed in the backward pass where checkpointing says so. */
  layer(
    index: number,
    inputs: readonly Tensor2D[],
    block: (...inputs: Tensor2D[]) => Tensor2D,
  ): Tensor2D {
    const { checkpointing = false } = this.options;
    const read = blockInputs(this.host.stage, index, inputs, this.options);
    if (!read) return inputs[0]!;
    const [{ adapters }, { known }] = [this.#scope, this.layouts];
    const running = (copy: BlockCopy | undefined, tensors: readonly Tensor[]): Tensor2D => {
      const body = () => this.layouts.within(known, () => block(...(tensors as Tensor2D[])));
      return this.#scope.within(copy ? [] : adapters, body, copy);
    };
    const isChosen = typeof checkpointing === 'boolean' ? checkpointing : checkpointing.has(index);
    return this.#stacks.through(index, read, (given, copy) => {
      const keepsInputs = isChosen || (!copy && this.#stacks.isStill(given));
      const body = (...tensors: Tensor[]) => running(copy, tensors);
      return keepsInputs ? this.ahead.checkpoint(given, body) : tf.tidy(() => body(...given));
    });
  }

  /** Runs modules that several layers share: each pass draws random numbers of its own. */
  repeated<T>(pass: number, body: () => T): T {
    const before = this.#pass;
    this.#pass = pass;
    try {
      return body();
    } finally {
      this.#pass = before;
    }
  }

  /** Dropout of the model's own, live in training only. The stream is named by `path`. */
  dropout(path: string, x: Tensor2D, rate: number): Tensor2D {
    return this.training && rate > 0 ? dropout(x, rate, this.randomKey(path)) : x;
  }

  /** The key of a random stream of this run. */
  randomKey(...parts: readonly (number | string)[]): readonly [number, number] {
    const pass = this.#pass > 0 ? [`pass ${this.#pass}`] : [];
    return randomKey(...(this.options.randomParts ?? [0]), ...parts, ...pass);
  }

  /** What goes along with the table that an embedding reads from another. */
  #followed({ tiedTo }: SiteOf<'embedding'>): readonly InForce<'embedding'>[] {
    return tiedTo === undefined
      ? []
      : this.#scope.at('embedding', tiedTo).filter(({ attachment }) => attachment.forwardOutput);
  }

  #biasOf = ({ bias }: { readonly bias?: string }): Tensor1D | undefined =>
    bias === undefined ? undefined : (this.vector(bias) as Tensor1D);

  #tiedMatrix = (name: string): Weight => this.#scope.tiedParameter(name) as Weight;

  /** A map of rows with what is attached around it. */
  #wrapped(
    path: string,
    attached: readonly InForce<'linear' | 'norm'>[],
    base: (x: Tensor2D) => Tensor2D,
  ): (x: Tensor2D) => Tensor2D {
    return wrapped(attached, base, ({ attachment, owner }, x, inner) =>
      attachment.forward(x, inner, this.callOf(owner, path)),
    );
  }

  /** What an adapter is told at a site. */
  callOf(owner: Adapter, path: string): AttachmentCall {
    const of = { isMixed: this.#mixed !== undefined, isCached: this.options.cache !== undefined };
    return attachmentCall(this, owner, path, {
      layout: (rows) => this.layouts.wholeAt(path, rows, of),
      tokens: (rows) => this.layouts.tokensOf(path, this.layouts.wholeAt(path, rows, of)),
      sequences: (rows) => this.layouts.sequencesOf(path, rows, of.isMixed),
      tasks: (count) => this.layouts.tasksOf(path, count),
      ahead: () => this.ahead.of(owner),
    });
  }

  /** A linear site's result on x, `map` being what the base makes of rows. */
  #mapped(site: SiteOf<'linear'>, x: Tensor2D, map: RowMap, run: AroundBase): Tensor2D {
    if (this.#mixed && !this.layouts.isShared) return this.#mixed.linear(site, x, map, run);
    this.#mixed?.refuseShared(site);
    return run(x, map);
  }

  /** A site's result on all rows at once, or part by part in a batch that mixes adapters. */
  #byAdapter(
    site: RowSite,
    total: number,
    run: (rows: Int32Array | undefined) => Tensor2D,
  ): Tensor2D {
    if (this.#mixed && !this.layouts.isShared) return this.#mixed.run(site, total, run);
    this.#mixed?.refuseShared(site);
    return run(undefined);
  }
}
