/** The seam between model families and everything else. */
import { didYouMean, PeftError } from '@peft/errors';
import type { Tensor2D } from '@tensorflow/tfjs';
import type { HeadOptions, ModelDescription } from './model-description.js';
import type { ModelRun } from './model-run.js';

/** Token ids of a packed batch: sequence b is `inputIds[offsets[b] … offsets[b+1]]`. */
export interface ModelBatch {
  readonly inputIds: Int32Array; // [N]
  readonly offsets: Int32Array; // [B+1]
  readonly tokenTypeIds?: Int32Array; // [N]
  /** Position of each token; default 0, 1, … within its sequence. */
  readonly positionIds?: Int32Array; // [N]
  /** Replaces the word embeddings' rows. */
  readonly inputsEmbeds?: Tensor2D; // [N, D]
  /** The decoder's side of an encoder-decoder. */
  readonly decoder?: { readonly inputIds: Int32Array; readonly offsets: Int32Array; readonly inputsEmbeds?: Tensor2D };
}

export interface ModelOutput {
  /** Last hidden state of the (decoder's) tokens `[N, D]`. */
  readonly hidden: Tensor2D;
  /** Layout of `hidden`; virtual tokens are counted. */
  readonly offsets: Int32Array;
  /** Embeddings and each block's output, when asked for. */
  readonly hiddenStates?: readonly Tensor2D[];
  /** `[B, C]` for a classification of sequences, `[N, C]` or `[N, V]` for one of tokens. */
  readonly logits?: Tensor2D;
  /** Last hidden state of the encoder, in an encoder-decoder. */
  readonly encoderHidden?: Tensor2D;
  readonly encoderOffsets?: Int32Array;
}

/** A model family. `Config` is its parsed `config.json`. */
export interface Architecture<Config = unknown> {
  readonly family: string;
  /** `model_type` values of `config.json` that it reads. */
  readonly modelTypes: readonly string[];
  /** Kinds of heads that it has beside `none` and `pooled-linear`, which core adds to any family. */
  readonly heads: readonly HeadOptions['kind'][];
  /** Checks and fills defaults as transformers does. @throws PEFT_MODEL_CONFIG */
  parseConfig(json: Readonly<Record<string, unknown>>): Config;
  describe(config: Config, head: HeadOptions): ModelDescription;
  /** Runs the model. Tensors of the result belong to the enclosing tidy scope. */
  forward(run: ModelRun, config: Config, batch: ModelBatch): ModelOutput;
}

export const defineArchitecture = <Config>(architecture: Architecture<Config>): Architecture<Config> => Object.freeze(architecture);

/** The architecture that reads `model_type`. @throws PEFT_MODEL_TYPE with the nearest known types */
export function architectureFor(modelType: unknown, architectures: readonly Architecture<never>[]): Architecture<unknown> {
  const known = architectures.flatMap(({ modelTypes }) => modelTypes);
  const found = architectures.find(({ modelTypes }) => modelTypes.includes(modelType as string));
  if (!found) {
    throw new PeftError('PEFT_MODEL_TYPE', `config.json: model_type ${JSON.stringify(modelType)} is not one of ${known.join(', ')}.`, {
      hint: `${didYouMean(String(modelType), known)} A family is added by one architecture file: see docs/add-a-model.md.`.trim(),
    });
  }
  return found as unknown as Architecture<unknown>;
}
