/**
 * Names and shapes of the kernels that an engine may provide for its tfjs backend
 * (`tf.registerKernel`). Where a backend has none, the operation's reference in plain tfjs ops runs
 * instead; a test holds the two together.
 *
 * Axes: N tokens of a packed batch, B sequences, D model width, H heads, F feed-forward width, V
 * vocabulary, P extra keys. All tensors are float32 and row-major. `offsets` is `Int32Array [B+1]`,
 * sequence b being rows `offsets[b] … offsets[b+1]`. Outputs are listed in order; an output whose
 * `need…` attribute is false may be a tensor of shape `[0]`.
 */
import type { Tensor } from '@tensorflow/tfjs';

/** Formulas: `activation.ts`; leaky_relu's slope below zero is 0.01. */
export type ActivationName =
  | 'gelu'
  | 'gelu_tanh'
  | 'gelu_quick'
  | 'relu'
  | 'relu_squared'
  | 'silu'
  | 'tanh'
  | 'sigmoid'
  | 'leaky_relu';

/**
 * What `attention` was asked to do beside its tensors. Sequence b of the queries attends to
 * sequence b of the keys. Below, j counts the keys of a sequence from 0 and i its queries on the
 * same axis: the last query stands at the last key, i = query number + Tk − Tq. Every query sees at
 * least one key (`attention` checks it).
 *
 *   score(i,j) = softCap(scale·q_i·k_j) + bias
 *   y = dropout(softmax(score))·v
 *
 * logSumExp is over the scores, before dropout.
 */
export interface AttentionAttributes {
  readonly queryOffsets: Int32Array; // [B+1]
  readonly keyOffsets: Int32Array; // [B+1]
  readonly heads: number; // H
  /** Heads of keys and values; query head h reads key head floor(h / (H / keyValueHeads)). */
  readonly keyValueHeads: number;
  /** Scores are multiplied by it. */
  readonly scale: number;
  /**
   * Only keys j ≤ i are seen (so with a cache the last query sees everything). Extra keys are
   * always seen.
   */
  readonly causal: boolean;
  /**
   * With `causal`: also j > i − window. Without: |i − j| ≤ window / 2 (ModernBERT). Extra keys are
   * always seen. 0: none.
   */
  readonly window: number;
  /** Scaled products become softCap·tanh(product/softCap), before the bias (Gemma 2). 0: none. */
  readonly softCap: number;
  /**
   * With a `bias` input `[H, S]`: the score of (i, j) gains bias[h, biasIndex[j − i + biasOrigin]],
   * the index j − i + biasOrigin being clipped to the table. Extra keys gain nothing.
   */
  readonly biasIndex?: Int32Array;
  readonly biasOrigin?: number;
  /**
   * Dropout of the probabilities. That of query row n (in the whole packed batch), head h and
   * column c is element (n·H + h)·L + c modulo 2³², c counting the extra keys first and then the
   * sequence's keys, L = P + the longest Tk of the batch.
   */
  readonly dropout?: DropoutAttributes;
  /** Number of extra keys and values that every sequence sees, 0 without. */
  readonly extra: number; // P
}

/**
 * Element i is dropped where `randomUniform(key, i) < rate`, the others are divided by 1 − rate.
 * See `counter-random.ts`.
 */
export interface DropoutAttributes {
  readonly rate: number;
  /** Two 32-bit words that name the stream. */
  readonly key: readonly [number, number];
}

/**
 * DeBERTa's disentangled attention (He et al. 2021, eq. 4) without padding:
 *
 *   score(i,j) = scale·( q_i·k_j + [c2p] q_i·pk_{c(i−j)} + [p2c] k_j·pq_{p(i−j)} )
 *   c(d) = contentToPositionIndex[d + relativeOrigin]
 *   p(d) = positionToContentIndex[d + relativeOrigin]
 *
 * Both tables are read at the distance query − key (what the paper writes δ(j,i) is in the table's
 * values), d + relativeOrigin being clipped to the table.
 */
export interface DisentangledAttributes {
  readonly offsets: Int32Array; // [B+1]
  readonly heads: number; // H
  readonly scale: number;
  /** Rows of the position tables, each in [0, S). */
  readonly contentToPositionIndex: Int32Array; // [2·maxDistance+1]
  readonly positionToContentIndex: Int32Array; // [2·maxDistance+1]
  readonly relativeOrigin: number;
  /** Dropout of the probabilities, numbered as in `AttentionAttributes` with P = 0. */
  readonly dropout?: DropoutAttributes;
}

/** A number of AdamW's formula. */
export type AdamWNumber =
  'stepSize' | 'rootCorrection' | 'shrink' | 'newFirst' | 'beta2' | 'newSecond' | 'epsilon';

/** Which rows go where. Ranges are triples [from, to, count] one after another. */
export interface RowPlan {
  /** Rows of the result. */
  readonly size: number;
  /**
   * Whether the rows of x stay where they are and are moved among themselves, in order; `size` is
   * then that of x. Else only what a move names is taken over, from x as it was.
   */
  readonly isInPlace: boolean;
  readonly moves: Int32Array;
  readonly additions: Int32Array;
}

/** inputs → attributes → outputs of each kernel. */
export interface PeftKernels {
  /** y = (x−μ)/√(σ²+ε)·γ + β. Outputs y `[N,D]`, mean `[N]`, inverseStd `[N]`. */
  PeftLayerNorm: { inputs: 'x' | 'gamma' | 'beta'; attributes: { epsilon: number } };
  /** Outputs dx, dgamma, dbeta. */
  PeftLayerNormGradient: {
    inputs: 'x' | 'gamma' | 'mean' | 'inverseStd' | 'dy';
    attributes: { needGamma: boolean; needBeta: boolean; needX: boolean };
  };
  /** y = x/√(mean(x²)+ε)·(γ+gammaOffset). Outputs y, inverseRms `[N]`. */
  PeftRmsNorm: { inputs: 'x' | 'gamma'; attributes: { epsilon: number; gammaOffset: number } };
  /** Outputs dx, dgamma. */
  PeftRmsNormGradient: {
    inputs: 'x' | 'gamma' | 'inverseRms' | 'dy';
    attributes: { gammaOffset: number; needGamma: boolean; needX: boolean };
  };
  /** y = f(x). One output. */
  PeftActivation: { inputs: 'x'; attributes: { kind: ActivationName } };
  /** dx = dy·f′(x). One output. */
  PeftActivationGradient: { inputs: 'x' | 'dy'; attributes: { kind: ActivationName } };
  /** y = f(gate)·up. One output. */
  PeftGatedActivation: { inputs: 'gate' | 'up'; attributes: { kind: ActivationName } };
  /** Outputs dgate, dup. */
  PeftGatedActivationGradient: {
    inputs: 'gate' | 'up' | 'dy';
    attributes: { kind: ActivationName };
  };
  /**
   * q `[Nq, H·E]`, k, v `[Nk, Hkv·E]`, optional bias `[H,S]`, extraKeys, extraValues `[P, Hkv·E]`.
   * Outputs y `[Nq, H·E]`, logSumExp `[Nq, H]`.
   */
  PeftAttention: {
    inputs: 'q' | 'k' | 'v' | 'bias' | 'extraKeys' | 'extraValues';
    attributes: AttentionAttributes;
  };
  /**
   * `PeftAttention` where the keys of sequence b begin at row `keyStarts[b]` of k and v instead of
   * `keyOffsets[b]`, which still counts them.
   */
  PeftSpacedAttention: {
    inputs: 'q' | 'k' | 'v' | 'bias' | 'extraKeys' | 'extraValues';
    attributes: AttentionAttributes & { readonly keyStarts: Int32Array };
  };
  /**
   * Inputs as above plus y, logSumExp, dy. Outputs dq, dk, dv, dbias, dextraKeys, dextraValues
   * (`[0]` where the input is absent or needBias is false).
   */
  PeftAttentionGradient: {
    inputs: 'q' | 'k' | 'v' | 'bias' | 'extraKeys' | 'extraValues' | 'y' | 'logSumExp' | 'dy';
    attributes: AttentionAttributes & { needBias: boolean };
  };
  /**
   * q, k, v `[N, H·E]`, positionKeys and positionQueries `[S, H·E]` (either may be absent). Outputs
   * y `[N,H·E]`, logSumExp `[N,H]`.
   */
  PeftDisentangledAttention: {
    inputs: 'q' | 'k' | 'v' | 'positionKeys' | 'positionQueries';
    attributes: DisentangledAttributes;
  };
  /**
   * Inputs as above plus y, logSumExp, dy. Outputs dq, dk, dv, dpositionKeys, dpositionQueries
   * (`[0]` where not needed).
   */
  PeftDisentangledAttentionGradient: {
    inputs: 'q' | 'k' | 'v' | 'positionKeys' | 'positionQueries' | 'y' | 'logSumExp' | 'dy';
    attributes: DisentangledAttributes & {
      needPositionKeys: boolean;
      needPositionQueries: boolean;
    };
  };
  /**
   * Rotary positions on x `[N, heads·E]`: within a head, pair (i, i+R/2) for i < R/2, R =
   * 2·cos.shape[1] ≤ E; the rest passes through. a' = a·cos − b·sin, b' = b·cos + a·sin at row
   * `positions[n]` of cos, sin `[T, R/2]`. `inverse` negates sin (the gradient). `interleaved`: the
   * pairs are (2i, 2i+1). One output.
   */
  PeftRope: {
    inputs: 'x' | 'cos' | 'sin';
    attributes: {
      positions: Int32Array;
      heads: number;
      inverse: boolean;
      interleaved: boolean;
    };
  };
  /** y_i = x_i·keep_i/(1−rate). One output; also its own gradient. */
  PeftDropout: { inputs: 'x'; attributes: DropoutAttributes };
  /** y = x ⊙ scale, x `[N,D]`, scale `[D]`. One output. */
  PeftScaleColumns: { inputs: 'x' | 'scale'; attributes: object };
  /** Outputs dx = dy ⊙ scale, dscale = Σ_n x·dy `[D]`. */
  PeftScaleColumnsGradient: {
    inputs: 'x' | 'scale' | 'dy';
    attributes: { needX: boolean; needScale: boolean };
  };
  /** Σ_n x[n] `[D]` (bias gradient). One output. */
  PeftSumRows: { inputs: 'x'; attributes: object };
  /**
   * Per-row loss logSumExp − logit[label], 0 where label is −100. logits `[N,V]`. Outputs loss
   * `[N]`, logSumExp `[N]`.
   */
  PeftCrossEntropy: { inputs: 'logits'; attributes: { labels: Int32Array } };
  /** dlogits = (softmax − onehot)·dloss. dloss `[N]`. One output. */
  PeftCrossEntropyGradient: {
    inputs: 'logits' | 'logSumExp' | 'dloss';
    attributes: { labels: Int32Array };
  };
  /** y[n] = x[rows[n]]. x `[M,D]`. One output. */
  PeftGatherRows: { inputs: 'x'; attributes: { rows: Int32Array } };
  /** y[rows[n]] += x[n], y `[size, D]`, in order of n. One output. */
  PeftScatterAddRows: { inputs: 'x'; attributes: { rows: Int32Array; size: number } };
  /**
   * y[n] + scales[p]·x[n]·A_pᵀ·B_pᵀ for the rows n of rows[p], y[n] for others. y `[N, out]`, x `[N,
   * in]`, inputs a0, b0, a1, b1 … A_p `[r_p, in]`, B_p `[out, r_p]`; no row is in two products. One
   * output.
   */
  PeftAddThinProducts: {
    inputs: 'y' | 'x' | `a${number}` | `b${number}`;
    attributes: { rows: readonly Int32Array[]; scales: readonly number[] };
  };
  /**
   * AdamW on the device, inputs `[n]` and the numbers scalars or `[n]`: m′ = m + (g − m)·newFirst, v′
   * = v·beta2 + g²·newSecond, θ′ = θ·shrink − stepSize·m′/(√v′/rootCorrection + ε). Outputs θ′, m′,
   * v′.
   */
  PeftAdamWTensors: {
    inputs: 'values' | 'gradient' | 'm' | 'v' | AdamWNumber;
    attributes: object;
  };
  /**
   * Rows of x `[M,D]` and added `[N,D]` at the places of a plan: see `layRows`. Either input may be
   * absent; x may be written over where the plan is in place. One output `[size,D]`.
   */
  PeftLayRows: { inputs: 'x' | 'added'; attributes: RowPlan };
}

/** The name of a kernel that engines may have. */
export type KernelName = keyof PeftKernels;
/** The tensors that a kernel reads, by name. */
export type KernelInputs<K extends KernelName> = Partial<Record<PeftKernels[K]['inputs'], Tensor>>;
