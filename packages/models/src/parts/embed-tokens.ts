/**
 * The start of a stack: rows of the word embedding, virtual tokens in front of them, and where each
 * token stands.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import { embeddingNoise, freezeTensor, isFrozenTensor } from '@peft/ops';
import type { AttentionSite, ModelRun } from '@peft/core';

export interface EmbeddedTokens {
  readonly x: Tensor2D; // [N, D]
  readonly offsets: Int32Array;
  /** Position of each row in its sequence. */
  readonly positions: Int32Array;
  /**
   * Virtual tokens in front of each sequence; with any, the caller's positions count for nothing,
   * as in PEFT.
   */
  readonly extra: number;
  /** Type of each row, 0 for virtual tokens and where the caller gave none. */
  readonly tokenTypes: Int32Array;
}

/**
 * @param paths the embedding site, the sequence site and the stack that it starts.
 * @param scale of the embedding's rows, virtual tokens and given embeddings apart (Gemma: √D).
 */
export function embedTokens(
  run: ModelRun,
  paths: {
    readonly embedding: string;
    readonly sequence: string;
    readonly stack: AttentionSite['stack'];
  },
  tokens: {
    readonly inputIds: Int32Array;
    readonly offsets: Int32Array;
    readonly inputsEmbeds?: Tensor2D;
    readonly positionIds?: Int32Array;
    readonly tokenTypeIds?: Int32Array;
  },
  scale = 1,
): EmbeddedTokens {
  run.layouts.use(tokens.offsets);
  const rows =
    tokens.inputsEmbeds ??
    noisy(
      run,
      paths.embedding,
      scaled(run.embed(paths.embedding, tokens.inputIds), scale),
      tokens.offsets,
    );
  const { x, offsets, extra } = run.sequence(paths.sequence, rows, tokens.offsets);
  const given =
    extra === 0 && run.past.pretended(paths.stack) === 0 ? tokens.positionIds : undefined;
  return {
    x,
    offsets,
    extra,
    positions: given ?? run.positions(paths.stack, offsets),
    tokenTypes: behindVirtual(tokens.tokenTypeIds, tokens.offsets, offsets, extra),
  };
}

/** Values of the tokens with zeros for the virtual ones in front of each sequence. */
function behindVirtual(
  values: Int32Array | undefined,
  offsets: Int32Array,
  longer: Int32Array,
  extra: number,
): Int32Array {
  if (values && extra === 0) return values;
  const out = new Int32Array(longer.at(-1)!);
  if (values)
    for (let b = 0; b + 1 < offsets.length; b += 1)
      out.set(values.subarray(offsets[b], offsets[b + 1]), longer[b]! + extra);
  return out;
}

/** With NEFTune's noise, where the run asks for it. */
function noisy(run: ModelRun, path: string, rows: Tensor2D, offsets: Int32Array): Tensor2D {
  const { embeddingNoise: alpha = 0 } = run.options;
  return alpha > 0
    ? embeddingNoise(
        rows,
        offsets,
        alpha,
        run.randomKey(path, 'noise'),
        run.layouts.sharedStart?.lengths,
      )
    : rows;
}

function scaled(rows: Tensor2D, scale: number): Tensor2D {
  if (scale === 1) return rows;
  const product = tf.mul<Tensor2D>(rows, scale);
  return isFrozenTensor(rows) ? freezeTensor(product) : product;
}

/**
 * Sum of tensors of one shape; frozen where all of them are, so that nothing is kept for a gradient
 * nobody asks for.
 */
export function sum(...terms: readonly Tensor2D[]): Tensor2D {
  const total = terms.reduce((left, right) => tf.add(left, right));
  return terms.every(isFrozenTensor) && terms.length > 1 ? freezeTensor(total) : total;
}
