/**
 * One forward pass: what an architecture calls to reach weights and whatever is attached to its
 * sites.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs';
import { PeftError } from '@peft/errors';
import {
  activate,
  add,
  checkpoint,
  dropout,
  embed,
  freezeTensor,
  gatherRows,
  insertRows,
  layerNorm,
  linear,
  linearActivated,
  positionsOf,
  randomKey,
  rmsNorm,
  scatterAddRows,
  type ActivationName,
  type FrozenWeight,
  type Weight,
} from '@peft/ops';
import type { Adapter } from '../adapter/adapter.js';
import type { KeyValueCache, KeyValues } from './key-value-cache.js';
import { BASE_ADAPTER, refuseUnmixable } from '../adapter/mixed-batch.js';
import { siteAt, type ModelDescription } from '../description/model-description.js';
import type { AdapterCall, SublayerCall } from '../method/peft-method.js';
import type { AttentionSite, SiteKind, SiteOf } from '../description/sites.js';

export interface RunOptions {
  /** Dropout is live. Default false. */
  readonly training?: boolean;
  /** Names the dropout streams: seed, step, micro-batch. Default [0]. */
  readonly randomParts?: readonly (number | string)[];
  /**
   * Blocks that keep only their inputs for the backward pass: all, none, or those of these numbers.
   * Default none.
   */
  readonly checkpointing?: boolean | ReadonlySet<number>;
  /** Return the embeddings and each block's output. Default false. */
  readonly hiddenStates?: boolean;
  /**
   * Rows of `hidden` whose token logits are made: all (default), none, the last of each sequence,
   * or these (the labelled ones).
   */
  readonly logitRows?: 'all' | 'none' | 'last' | Int32Array;
  /** An adapter's name per sequence (`__base__` for none) instead of the active ones. */
  readonly assignment?: readonly string[];
  /**
   * What the decoder read before: the batch holds the tokens that follow, and its sequences stand
   * behind those of the cache, which grows by them. An encoder-decoder also needs `batch.encoded`
   * from the second run on.
   */
  readonly cache?: KeyValueCache;
}

/** Keys and values of one adapter at an attention site. */
export interface ExtraKeyValues {
  readonly keys: Tensor2D;
  readonly values: Tensor2D;
  /** `[B·P, …]`: P rows for each sequence in turn. */
  readonly perSequence: boolean;
  /** They stand in for tokens in front of the sequence. */
  readonly isPast: boolean;
}

/** What a run reads of its model. */
export interface RunHost {
  readonly description: ModelDescription;
  /** Adapters in force, innermost first. */
  readonly active: readonly Adapter[];
  adapter(name: string): Adapter;
  baseWeight(name: string): FrozenWeight | Tensor;
  /** Tables that outlive the run; the model disposes them. */
  readonly constants: Map<string, readonly Tensor[]>;
}

export class ModelRun {
  readonly training: boolean;
  readonly wantsHiddenStates: boolean;
  /** Sequence layouts seen, to find the sequence of a row. */
  #layouts: readonly Int32Array[] = [];
  /** Layout of what cross attention reads. */
  #memory: Int32Array | undefined;
  #padding: { readonly flags: Uint8Array; readonly offsets: Int32Array } | undefined;
  /** Adapters in force at this moment. */
  #scope: readonly Adapter[];
  /** The rows at hand belong to no sequence. */
  #isShared = false;

  constructor(
    readonly host: RunHost,
    readonly options: RunOptions = {},
  ) {
    this.training = options.training ?? false;
    this.wantsHiddenStates = options.hiddenStates ?? false;
    this.#scope = options.assignment ? [] : host.active;
    if (options.cache && this.training)
      throw new PeftError('PEFT_CACHE_TRAINING', 'a run that trains cannot go on from a cache.', {
        hint: 'leave out options.cache, or options.training',
      });
    if (options.assignment) refuseUnmixable(host, options.assignment);
  }

  get description(): ModelDescription {
    return this.host.description;
  }

  /** Last row of each sequence of the stack at hand. */
  get lastRows(): Int32Array {
    return this.#layouts
      .at(-1)!
      .slice(1)
      .map((end) => end - 1);
  }

  /**
   * The cache, where it takes part in a stack: not in an encoder, which reads everything at once.
   */
  cacheOf(stack: AttentionSite['stack']): KeyValueCache | undefined {
    return stack === 'encoder' ? undefined : this.options.cache;
  }

  /** Makes a layout known to batches that mix adapters. */
  useLayout(offsets: Int32Array): void {
    this.#layouts = [...this.#layouts, offsets];
  }

  /** Marks rows that are computed but not attended to. @param flags 1 for padding, `[N]` */
  usePadding(flags: Uint8Array, offsets: Int32Array): void {
    this.#padding = { flags, offsets };
  }

  /**
   * Rows that attention sees and their layout, where some rows are padding; undefined where all are
   * seen.
   * @throws PEFT_BATCH_PADDING in a layout other than the batch's.
   */
  attended(
    offsets: Int32Array,
  ): { readonly rows: Int32Array; readonly offsets: Int32Array } | undefined {
    if (!this.#padding) return undefined;
    const { flags, offsets: own } = this.#padding;
    if (!isSameLayout(offsets, own))
      throw new PeftError(
        'PEFT_BATCH_PADDING',
        'a batch with padding rows met sequences of another layout.',
        { hint: 'padding works in a stack that reads the batch itself; leave it out' },
      );
    const rows = Int32Array.from(flags.keys()).filter((n) => flags[n] === 0);
    return { rows, offsets: offsets.map((offset) => rows.filter((row) => row < offset).length) };
  }

  /**
   * y = x·Wᵀ + b of a linear site with whatever is attached, and `activation` of that. x `[N, in]`,
   * y `[N, out]`.
   */
  linear(path: string, x: Tensor2D, activation?: ActivationName): Tensor2D {
    const site = siteAt(this.description, 'linear', path);
    const weight = () => this.matrix(site.weight);
    const bias = () => (site.bias === undefined ? undefined : (this.vector(site.bias) as Tensor1D));
    return tf.tidy(() =>
      this.#grouped(site, x, (rows) => {
        const attached = this.#attached('linear', path);
        if (activation && attached.length === 0)
          return linearActivated(activation, rows, weight(), bias());
        const y = attached.reduce<(input: Tensor2D) => Tensor2D>(
          (inner, { adapter, owner }) =>
            (input) =>
              adapter.forward(input, inner, this.#call(owner, path)),
          (input) => linear(input, weight(), bias()),
        )(rows);
        return activation ? activate(activation, y) : y;
      }),
    );
  }

  /**
   * The norm of a norm site. x `[N, D]`, or `[N, H·D]`, where each of H heads is normed on its own.
   * @param gammaOffset added to γ (Gemma: 1).
   */
  norm(path: string, x: Tensor2D, epsilon: number, gammaOffset = 0): Tensor2D {
    const site = siteAt(this.description, 'norm', path);
    const base = (input: Tensor2D): Tensor2D => {
      const gamma = this.vector(site.weight) as Tensor1D;
      const beta = site.bias === undefined ? undefined : (this.vector(site.bias) as Tensor1D);
      return site.variant === 'layer'
        ? layerNorm(input, gamma, beta, epsilon)
        : rmsNorm(input, gamma, epsilon, { gammaOffset });
    };
    return this.#grouped(site, x, (rows) => {
      const isWhole = rows.shape[1] === site.size;
      const normed = this.#attached('norm', path).reduce<(input: Tensor2D) => Tensor2D>(
        (inner, { adapter, owner }) =>
          (input) =>
            adapter.forward(input, inner, this.#call(owner, path)),
        base,
      )(isWhole ? rows : (tf.reshape(rows, [-1, site.size]) as Tensor2D));
      return isWhole ? normed : (tf.reshape(normed, rows.shape) as Tensor2D);
    });
  }

  /** Rows of an embedding site. ids `[N]`, result `[N, D]`. */
  embed(path: string, ids: Int32Array): Tensor2D {
    const site = siteAt(this.description, 'embedding', path);
    const base = (input: Int32Array): Tensor2D =>
      embed(
        site.tiedTo === undefined ? this.matrix(site.weight) : this.#tiedMatrix(site.weight),
        input,
      );
    const run = (input: Int32Array): Tensor2D =>
      [...this.#followed(site), ...this.#attached('embedding', path)].reduce<
        (input: Int32Array) => Tensor2D
      >(
        (inner, { adapter, owner }) =>
          (some) =>
            adapter.forward(some, inner, this.#call(owner, path)),
        base,
      )(input);
    if (!this.options.assignment || this.#isShared) return this.#shared(site, () => run(ids));
    return this.#groups(path, ids.length)
      .map(({ rows, adapters }) =>
        scatterAddRows(
          this.#within(adapters, () => run(rows.map((n) => ids[n]!))),
          rows,
          ids.length,
        ),
      )
      .reduce((sum, part) => tf.add(sum, part));
  }

  /**
   * The output layer of a language model, x·Wᵀ + b. Where it is tied to an embedding (its weight is
   * the embedding's) what is attached to that embedding has its say, too.
   */
  outputLayer(path: string, x: Tensor2D): Tensor2D {
    const site = siteAt(this.description, 'linear', path);
    const { weight, bias } = site;
    const tied = this.#embeddingOf(weight);
    if (!tied) return this.linear(path, x);
    const base = (input: Tensor2D): Tensor2D =>
      linear(
        input,
        this.#tiedMatrix(weight),
        bias === undefined ? undefined : (this.vector(bias) as Tensor1D),
      );
    return this.#grouped(site, x, (rows) => {
      const output = this.#attached('embedding', tied).reduce<(input: Tensor2D) => Tensor2D>(
        (inner, { adapter }) =>
          (input) =>
            adapter.forwardOutput ? adapter.forwardOutput(input, inner) : inner(input),
        base,
      );
      return this.#attached('linear', path).reduce<(input: Tensor2D) => Tensor2D>(
        (inner, { adapter, owner }) =>
          (input) =>
            adapter.forward(input, inner, this.#call(owner, path)),
        output,
      )(rows);
    });
  }

  /**
   * Weight and bias of an output layer, for a loss that never makes its logits; undefined where an
   * adapter stands on it.
   */
  plainOutputLayer(
    path: string,
  ): { readonly weight: Weight; readonly bias?: Tensor1D } | undefined {
    const { weight, bias } = siteAt(this.description, 'linear', path);
    const tied = this.#embeddingOf(weight);
    const isChanged =
      this.options.assignment !== undefined ||
      this.#attached('linear', path).length > 0 ||
      (tied !== undefined &&
        this.#attached('embedding', tied).some(({ adapter }) => adapter.forwardOutput));
    return isChanged
      ? undefined
      : {
          weight: this.#tiedMatrix(weight),
          ...(bias !== undefined && { bias: this.vector(bias) as Tensor1D }),
        };
  }

  /**
   * What adapters give an attention site: keys and values `[P, keyValueHeads·headSize]` beside the
   * sequences, and those that stand in for `past` tokens in front of them; `[B·P, …]` where they
   * differ by sequence.
   */
  extraKeyValues(path: string, hidden: Tensor2D, offsets: Int32Array): readonly ExtraKeyValues[] {
    return this.#attached('attention', path).map(({ adapter, owner }) => {
      const {
        keys,
        values,
        perSequence = false,
      } = adapter.extend({ ...this.#call(owner, path), hidden, offsets });
      if (perSequence && this.cacheOf(siteAt(this.description, 'attention', path).stack))
        throw looksAtSequences(path);
      return { keys, values, perSequence, isPast: (adapter.pastLength ?? 0) > 0 };
    });
  }

  /**
   * Tokens that adapters pretend stand in front of every sequence of a stack: positions start
   * there.
   */
  pastLength(stack: AttentionSite['stack']): number {
    const first = this.description.sites.find(
      (site) => site.kind === 'attention' && site.stack === stack,
    );
    return first
      ? this.#attached('attention', first.path).reduce(
          (sum, { adapter }) => sum + (adapter.pastLength ?? 0),
          0,
        )
      : 0;
  }

  /**
   * Position of each row of a stack `[N]`: behind what a cache holds, else behind the tokens that
   * adapters pretend.
   */
  positions(stack: AttentionSite['stack'], offsets: Int32Array): Int32Array {
    const cached = this.cacheOf(stack)?.lengths;
    const positions = positionsOf(offsets, cached ? 0 : this.pastLength(stack));
    cached?.forEach((length, b) =>
      positions
        .subarray(offsets[b], offsets[b + 1])
        .forEach((position, t, own) => (own[t] = position + length)),
    );
    return positions;
  }

  /** Keys and values of an attention with those of the cache in front, which keeps them all. */
  withCached(path: string, added: KeyValues): KeyValues {
    return (
      this.cacheOf(siteAt(this.description, 'attention', path).stack)?.extend(path, added) ?? added
    );
  }

  /**
   * Whether the cache holds rows of an attention: those that stand in front of a sequence are among
   * them.
   */
  isContinued(path: string): boolean {
    return this.cacheOf(siteAt(this.description, 'attention', path).stack)?.holds(path) ?? false;
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
    return this.options.cache ? this.options.cache.remember(path, offsets, make) : make();
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
    const base: SublayerCall['close'] = (output, { bare = false } = {}) => {
      if (bare) return output;
      const sum = add(call.residual, output);
      return norm ? norm(sum) : sum;
    };
    // The innermost adapter is the first to get the branch's output, and the outermost closes.
    return tf.tidy(() =>
      this.#attached('sublayer', path).reduceRight<SublayerCall['close']>(
        (next, { adapter, owner }) =>
          (output) =>
            adapter.forward({ ...this.#call(owner, path), ...call, output, norm, close: next }),
        base,
      )(call.output),
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
    const isContinued = this.cacheOf(stack)?.lengths !== undefined; // they are in the cache
    for (const { adapter, owner } of isContinued ? [] : this.#attached('sequence', path)) {
      const prefix = adapter.prefix(this.#call(owner, path));
      const inserted = insertRows(result.x, result.offsets, prefix);
      result = { x: inserted.x, offsets: inserted.offsets, extra: result.extra + prefix.shape[0] };
    }
    this.useLayout(result.offsets);
    if (result.extra > 0 && this.#padding && isSameLayout(offsets, this.#padding.offsets)) {
      const { flags } = this.#padding;
      const longer = new Uint8Array(result.x.shape[0]); // virtual tokens are no padding
      for (let b = 0; b + 1 < offsets.length; b += 1)
        longer.set(flags.subarray(offsets[b], offsets[b + 1]), result.offsets[b]! + result.extra);
      this.usePadding(longer, result.offsets);
    }
    if (stack === 'encoder') this.#memory = result.offsets;
    return result;
  }

  /**
   * Runs `body` on rows that belong to no sequence, but to all of them (a table of relative
   * positions).
   */
  sharedRows<T>(body: () => T): T {
    const outer = this.#isShared;
    this.#isShared = true;
    try {
      return body();
    } finally {
      this.#isShared = outer;
    }
  }

  /**
   * A small base tensor as it is (a bias, a table of relative positions), unfrozen where an adapter
   * trains it.
   */
  vector(name: string): Tensor {
    return this.#resolve(name) as Tensor;
  }

  /** A matrix or table, unfrozen where an adapter trains it. */
  matrix(name: string): Weight {
    return this.#resolve(name) as Weight;
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
    const [scope, layouts] = [this.#scope, this.#layouts];
    const scoped = (...tensors: Tensor[]): Tensor2D =>
      this.#within(scope, () => block(...(tensors as Tensor2D[])), layouts);
    const keepsInputsOnly =
      typeof checkpointing === 'boolean' ? checkpointing : checkpointing.has(index);
    return keepsInputsOnly ? checkpoint(inputs, scoped) : tf.tidy(() => scoped(...inputs));
  }

  /** Dropout of the model's own, live in training only. The stream is named by `path`. */
  dropout(path: string, x: Tensor2D, rate: number): Tensor2D {
    return this.training && rate > 0 ? dropout(x, rate, this.randomKey(path)) : x;
  }

  /** The key of a random stream of this run. */
  randomKey(...parts: readonly (number | string)[]): readonly [number, number] {
    return randomKey(...(this.options.randomParts ?? [0]), ...parts);
  }

  /** What goes along with the table that an embedding reads from another. */
  #followed({ tiedTo }: SiteOf<'embedding'>) {
    return tiedTo === undefined
      ? []
      : this.#attached('embedding', tiedTo).filter(({ adapter }) => adapter.forwardOutput);
  }

  /** Path of the embedding that reads a parameter. */
  #embeddingOf(parameter: string): string | undefined {
    return this.description.sites.find(
      (site) => site.kind === 'embedding' && site.weight === parameter,
    )?.path;
  }

  #call(owner: Adapter, path: string): AdapterCall {
    return {
      training: this.training,
      dropout: (x, rate, purpose = 'dropout') =>
        this.training && rate > 0 ? dropout(x, rate, this.randomKey(owner.name, path, purpose)) : x,
      layout: (rows) => this.#layoutOf(path, rows),
      adapter: (name) => this.host.adapter(name),
    };
  }

  /**
   * The current stack's layout comes last; keys and values of cross attention are the encoder's
   * rows.
   */
  #layoutOf(path: string, rows: number): Int32Array {
    const found = this.#candidate(path, rows);
    if (this.options.cache && found !== this.#memory) throw looksAtSequences(path);
    if (!found || this.#isShared || this.options.assignment)
      throw new PeftError(
        'PEFT_LAYOUT_UNKNOWN',
        `${path}: the sequences of a tensor of ${rows} rows are not known.`,
        {
          hint: 'a gate is a mean over the tokens of a sequence: it works on tokens alone, and not in a batch that mixes adapters',
        },
      );
    return found;
  }

  #candidate(path: string, rows: number): Int32Array | undefined {
    const readsMemory = this.description.sites.some(
      (site) => site.path === path && /^cross\.attention\.(key|value)$/.test(site.role),
    );
    return readsMemory && this.#memory?.at(-1) === rows
      ? this.#memory
      : this.#layouts.findLast((layout) => layout.at(-1) === rows);
  }

  #attached<K extends SiteKind>(kind: K, path: string) {
    return this.#scope.flatMap((owner) =>
      owner.at(kind, path).map(({ adapter, method }) => ({ adapter: adapter!, method, owner })),
    );
  }

  #resolve(name: string): FrozenWeight | Tensor {
    for (let i = this.#scope.length - 1; i >= 0; i -= 1) {
      const adapter = this.#scope[i]!;
      const found = adapter.unfrozen(name)?.value ?? adapter.replaced.get(name);
      if (found) return found;
    }
    return this.host.baseWeight(name);
  }

  /**
   * The weight of what reads an embedding's table: not a trained copy that is the embedding's
   * alone.
   */
  #tiedMatrix(name: string): Weight {
    const outer = this.#scope;
    return (
      outer.some((adapter) => adapter.isEmbeddingOnly(name))
        ? this.#within(
            outer.filter((adapter) => !adapter.isEmbeddingOnly(name)),
            () => this.#resolve(name),
          )
        : this.#resolve(name)
    ) as Weight;
  }

  #within<T>(adapters: readonly Adapter[], body: () => T, layouts = this.#layouts): T {
    const [outer, outerLayouts] = [this.#scope, this.#layouts];
    [this.#scope, this.#layouts] = [adapters, layouts];
    try {
      return body();
    } finally {
      [this.#scope, this.#layouts] = [outer, outerLayouts];
    }
  }

  #grouped(site: SiteOf<'linear' | 'norm'>, x: Tensor2D, run: (x: Tensor2D) => Tensor2D): Tensor2D {
    if (!this.options.assignment || this.#isShared) return this.#shared(site, () => run(x));
    const total = x.shape[0];
    return this.#groups(site.path, total)
      .map(({ rows, adapters }) =>
        scatterAddRows(
          this.#within(adapters, () => run(gatherRows(x, rows))),
          rows,
          total,
        ),
      )
      .reduce((sum, part) => tf.add(sum, part));
  }

  /**
   * In a batch that mixes adapters, rows that all sequences share pass only where no adapter
   * changes anything.
   */
  #shared<T>(site: SiteOf<'linear' | 'norm' | 'embedding'>, run: () => T): T {
    const parameters = [
      site.weight,
      ...('bias' in site && site.bias !== undefined ? [site.bias] : []),
    ];
    const owner = [...new Set(this.options.assignment ?? [])].find(
      (name) =>
        name !== BASE_ADAPTER &&
        (this.host.adapter(name).at(site.kind, site.path).length > 0 ||
          ('tiedTo' in site &&
            site.tiedTo !== undefined &&
            this.host.adapter(name).at('embedding', site.tiedTo).length > 0) ||
          parameters.some((parameter) => this.host.adapter(name).unfrozen(parameter))),
    );
    if (owner !== undefined)
      throw new PeftError(
        'PEFT_MIXED_BATCH',
        `${site.path}: adapter "${owner}" changes what all sequences of the batch share there.`,
        { hint: 'run its rows in a batch of their own' },
      );
    return run();
  }

  /**
   * Rows of each adapter of the assignment, for a tensor of `total` rows: tokens of a known layout,
   * or one row per sequence.
   */
  #groups(path: string, total: number): { rows: Int32Array; adapters: readonly Adapter[] }[] {
    const assignment = this.options.assignment!;
    const offsets = total === assignment.length ? undefined : this.#candidate(path, total);
    if (total !== assignment.length && offsets?.length !== assignment.length + 1) {
      throw new PeftError(
        'PEFT_MIXED_BATCH',
        `a batch of ${assignment.length} sequences that mixes adapters met a tensor of ${total} rows of unknown layout.`,
        { hint: 'give one adapter name per sequence' },
      );
    }
    return [...new Set(assignment)].map((name) => ({
      adapters: name === BASE_ADAPTER ? [] : [this.host.adapter(name)],
      rows: Int32Array.from(
        assignment.flatMap((other, b) =>
          other !== name
            ? []
            : offsets
              ? Array.from({ length: offsets[b + 1]! - offsets[b]! }, (_, t) => offsets[b]! + t)
              : [b],
        ),
      ),
    }));
  }
}

const looksAtSequences = (path: string): PeftError =>
  new PeftError(
    'PEFT_CACHE_ADAPTER',
    `${path}: an adapter there looks at whole sequences (a gate), and a run with a cache has only the new tokens.`,
    { hint: 'generate with cache: false' },
  );

const isSameLayout = (a: Int32Array, b: Int32Array): boolean =>
  a.length === b.length && a.every((offset, i) => offset === b[i]);
