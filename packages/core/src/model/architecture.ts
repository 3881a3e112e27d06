/** The seam between model families and everything else. */
import { didYouMean, PeftError } from '@peft/errors';
import type { Weight } from '@peft/ops';
import type { Scalar, Tensor1D, Tensor2D } from '@tensorflow/tfjs';
import type { FamilyConventions } from '../description/family-conventions.js';
import type { HeadOptions, ModelDescription } from '../description/model-description.js';
import type { SiteKind } from '../description/sites.js';
import type { ModelRun } from './model-run.js';
import type { WeightStore } from './weights/weight-store.js';

/** Token ids of a packed batch: sequence b is `inputIds[offsets[b] … offsets[b+1]]`. */
export interface ModelBatch {
  readonly inputIds: Int32Array; // [N]
  readonly offsets: Int32Array; // [B+1]
  readonly tokenTypeIds?: Int32Array; // [N]
  /** Position of each token; default 0, 1, … within its sequence. */
  readonly positionIds?: Int32Array; // [N]
  /**
   * 1 at rows that are computed and that nothing attends to: what padding is in implementations
   * that pad. Only to reproduce those, where a result depends on it (the gates of adapter-hub's
   * UniPELT are means over padding, too; a causal classifier behind PEFT's prompts reads the last
   * column).
   */
  readonly padding?: Uint8Array; // [N]
  /**
   * Rows that sequences share: with n = `sharedLengths[b]` > 0 sequence b stands behind the first n
   * tokens of the nearest sequence in front of it that has 0, and holds what follows them. Decoders
   * with an output layer alone (`PEFT_BATCH_SHARED`).
   */
  readonly sharedLengths?: Int32Array; // [B]
  /** The task of each sequence, from 0, for what learns several tasks at once. */
  readonly taskIds?: Int32Array; // [B]
  /** Replaces the word embeddings' rows. */
  readonly inputsEmbeds?: Tensor2D; // [N, D]
  /** The encoder's result of an earlier run on the same input, to go on decoding from. */
  readonly encoded?: { readonly hidden: Tensor2D; readonly offsets: Int32Array };
  /** The decoder's side of an encoder-decoder. */
  readonly decoder?: {
    readonly inputIds: Int32Array;
    readonly offsets: Int32Array;
    readonly inputsEmbeds?: Tensor2D;
  };
}

/** What one forward pass gives. */
export interface ModelOutput {
  /**
   * Last hidden state of the (decoder's) tokens `[N, D]`, or of the rows that the head reads alone
   * (`RunOptions.headRowsOnly`).
   */
  readonly hidden: Tensor2D;
  /** Layout of `hidden`; virtual tokens are counted. */
  readonly offsets: Int32Array;
  /** Each row has seen the rows in front of it alone, as in a decoder. Default false. */
  readonly isCausal?: boolean;
  /** Embeddings and each block's output, the last one being `hidden`, when asked for. */
  readonly hiddenStates?: readonly Tensor2D[];
  /**
   * `[B, C]` for a classification of sequences, `[N, C]` for one of tokens, `[N, V]` (or as many
   * rows as asked for) of a language model.
   */
  readonly logits?: Tensor2D;
  /**
   * Logits of these rows of `hidden`, `[rows, V]` of a language model, adapters on the output layer
   * counted.
   */
  readonly logitsOf?: (rows: Int32Array) => Tensor2D;
  /**
   * How logits come from `hidden`, where no adapter stands on the output layer:
   * softCap·tanh(z/softCap), z = scale·h·Wᵀ + b.
   */
  readonly outputLayer?: OutputLayer;
  /** What the routers of a mixture of experts add to the loss, where the config asks for it. */
  readonly routerLoss?: Scalar;
  /**
   * Hidden states `[N, D]` of small models beside it, rows as `hidden` has them, whose own loss counts
   * so much in that of a language model; the output layer makes their logits without scale and cap.
   */
  readonly auxiliary?: readonly { readonly hidden: Tensor2D; readonly weight: number }[];
  /** `[B, D]`: output of the model's own pooler (BERT), or what a pooled head read. */
  readonly pooled?: Tensor2D;
  /** Last hidden state of the encoder, in an encoder-decoder. */
  readonly encoderHidden?: Tensor2D;
  readonly encoderOffsets?: Int32Array;
  readonly encoderHiddenStates?: readonly Tensor2D[];
}

/**
 * The map from a language model's last hidden state to logits: softCap·tanh((scale·h·Wᵀ +
 * b)/softCap), without the cap where it is 0.
 */
export interface OutputLayer {
  readonly weight: Weight; // [V, D]
  readonly bias?: Tensor1D; // [V]
  readonly scale: number;
  /** 0: none. */
  readonly softCap: number;
}

/**
 * A model family. `Config` is its parsed `config.json`; `Kinds` the kinds of sites that its models
 * have.
 */
export interface Architecture<Config = unknown, Kinds extends SiteKind = SiteKind> {
  readonly family: string;
  /** `model_type` values of `config.json` that it reads. */
  readonly modelTypes: readonly string[];
  /**
   * Kinds of heads that it has beside `none` and `pooled-linear`, which core adds to any family.
   */
  readonly heads: readonly HeadOptions['kind'][];
  /**
   * Kinds of sites that its models have, where not all: a method that finds none of its own there
   * does not compile.
   */
  readonly siteKinds?: readonly Kinds[];
  /** By `model_type`, what other libraries call its parts. */
  readonly conventions?: Readonly<Record<string, FamilyConventions>>;
  /** Checks and fills defaults as transformers does. @throws PEFT_MODEL_CONFIG */
  parseConfig(json: Readonly<Record<string, unknown>>): Config;
  /**
   * Fills in what the config leaves open or has wrong and the checkpoint tells (whether the output
   * layer is the embedding's table). Runs before `describe`.
   * @param warn what the user should know
   */
  settle?(config: Config, store: WeightStore, warn: (message: string) => void): Config;
  describe(config: Config, head: HeadOptions): ModelDescription;
  /**
   * The config of a model whose blocks are these of this one's, in this order, some more than once;
   * each is the same as before in all but its number. Absent, or undefined for a config: they cannot
   * be repeated.
   */
  repeatBlocks?(config: Config, order: readonly number[]): Config | undefined;
  /** Runs the model. Tensors of the result belong to the enclosing tidy scope. */
  forward(run: ModelRun, config: Config, batch: ModelBatch): ModelOutput;
}

/** Types and freezes a model family; what a family's file exports. */
export const defineArchitecture = <Config, Kinds extends SiteKind = SiteKind>(
  architecture: Architecture<Config, Kinds>,
): Architecture<Config, Kinds> => Object.freeze(architecture);

/**
 * The architecture that reads `model_type`. @throws PEFT_MODEL_TYPE with the nearest known types
 */
export function architectureFor(
  modelType: unknown,
  architectures: readonly Architecture<never>[],
): Architecture<unknown> {
  const known = architectures.flatMap(({ modelTypes }) => modelTypes);
  const found = architectures.find(({ modelTypes }) => modelTypes.includes(modelType as string));
  if (!found) {
    throw new PeftError(
      'PEFT_MODEL_TYPE',
      `config.json: model_type ${JSON.stringify(modelType)} is not one of ${known.join(', ')}.`,
      {
        hint: (
          `${didYouMean(String(modelType), known)} A family is added by one architecture file: ` +
          'see docs/add-a-model.md.'
        ).trim(),
      },
    );
  }
  return found;
}
