/** What a forward pass is asked for, and what it reads of its model. */
import type { Tensor, Tensor2D } from '@tensorflow/tfjs';
import type { FrozenWeight } from '@peft/ops';
import type { Adapter } from '../adapter/adapter.js';
import type { ModelDescription } from '../description/model-description.js';
import type { KeyValueCache } from './cache/key-value-cache.js';
import type { Stage } from './stage/stage.js';

/** What a forward pass is asked for. */
export interface RunOptions {
  /** Dropout is live. Default false. */
  readonly training?: boolean;
  /**
   * α of NEFTune: noise on the embeddings of tokens, which training alone asks for. Default 0.
   */
  readonly embeddingNoise?: number;
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
  /**
   * Only what the head makes is read: logits, `pooled`. Where it reads the first row of each sequence
   * and no adapter looks at whole sequences, the last block may then make that row alone, to the same
   * bits (BERT, RoBERTa, XLM-R and ELECTRA do), and `hidden` holds these rows, as its `offsets` say;
   * dropout draws other numbers there. Default false.
   */
  readonly headRowsOnly?: boolean;
  /** An adapter's name per sequence (`__base__` for none) instead of the active ones. */
  readonly assignment?: readonly string[];
  /**
   * What the decoder read before: the batch holds the tokens that follow, and its sequences stand
   * behind those of the cache, which grows by them. An encoder-decoder also needs `batch.encoded`
   * from the second run on.
   */
  readonly cache?: KeyValueCache;
  /**
   * Run these blocks alone, as a stage would that held them: for a model whose ranks share its blocks
   * and gather one at a time. Default: all that the model has.
   */
  readonly window?: Stage | undefined;
  /**
   * State `[N, D]` that the stage before came to, for a model that is a later stage; a function makes
   * one of the form that the pass has.
   */
  readonly stageInput?: Tensor2D | ((rows: number, width: number) => Tensor2D) | undefined;
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
  /** Whether a base weight lies here, and whole. */
  holds(name: string): boolean;
  /** Values in the base's place train, so that no block is as frozen as what it reads. */
  readonly trains?: boolean;
  /** The blocks that run here, where not all do. */
  readonly stage: Stage | undefined;
  /** Tables that outlive the run; the model disposes them. */
  readonly constants: Map<string, readonly Tensor[]>;
}
