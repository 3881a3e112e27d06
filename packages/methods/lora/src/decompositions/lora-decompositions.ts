/**
 * Start values of LoRA that come from the weight itself, which gives up what A and B take over.
 *
 *   PiSSA   W = U·Σ·Vᵀ: B = U_r·√(Σ_r/s), A = √(Σ_r/s)·V_rᵀ, W ← W − s·B·A     Meng et al. 2024
 *   OLoRA   W = Q·R: B = Q_r, A = R_r, W ← W − s·B·A                          Büyükakyüz 2024
 *   MiCA    W = U·Σ·Vᵀ: B = the last r of U, frozen, A = 0                    arXiv 2604.01694
 *   LoftQ   Q ≈ W in 4 bits, B·A ≈ W − Q by its singular values, W ← Q       Li et al. 2023, algorithm 1
 *
 * All of these need the weights while attaching; on a bare description they only tell the shapes.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import { zeros } from '@peft/core';
import { check, PeftError } from '@peft/errors';
import {
  dequantize4Bit,
  quantize4Bit,
  randomizedSvd,
  rowsOf,
  truncatedQr,
  truncatedSvd,
  type Rows,
  type Svd,
} from '@peft/ops';
import type { LoraInitCall, LoraInitializer } from '../variants/lora-initializer.js';

/** Values that share a scale, as bitsandbytes has them. */
const BLOCK_SIZE = 64;

interface Factors {
  readonly a: Float32Array;
  readonly b: Float32Array;
}

/** PiSSA by the exact singular values. */
export const pissaInit: LoraInitializer = Object.freeze({
  name: 'pissa',
  peftValue: 'pissa',
  takesOver: true,
  replacesBase: true,
  start: (call: LoraInitCall) =>
    takingOver('pissa', call, (w, { rank, scaling }) => balanced(truncatedSvd(w, rank), scaling)),
});

/**
 * PiSSA by `iterations` rounds of subspace iteration: for wide layers, where the exact values take
 * minutes.
 * @throws PEFT_CONFIG_INVALID
 */
export function fastPissaInit(iterations: number): LoraInitializer {
  check.positiveInteger('lora', "the rounds of init 'pissa_niter_…'", iterations);
  const name = `pissa_niter_${iterations}`;
  return Object.freeze({
    name,
    peftValue: name,
    takesOver: true,
    replacesBase: true,
    start: (call: LoraInitCall) =>
      takingOver(name, call, (w, { rank, scaling }) =>
        balanced(randomizedSvd(w, rank, iterations), scaling),
      ),
  });
}

/** OLoRA. */
export const oloraInit: LoraInitializer = Object.freeze({
  name: 'olora',
  peftValue: 'olora',
  takesOver: true,
  replacesBase: true,
  start: (call: LoraInitCall) =>
    takingOver('olora', call, (w, { rank }) => {
      const { q, r } = truncatedQr(w, rank);
      return { a: flat(r), b: columns(q) };
    }),
});

/** MiCA: only A trains, and changes what the weight hardly does. */
export const micaInit: LoraInitializer = Object.freeze({
  name: 'mica',
  peftValue: 'mica',
  freezesB: true,
  start(call: LoraInitCall) {
    requireDirections('mica', call);
    const { site, rank } = call;
    return {
      a: zeros,
      b() {
        const weight = site.dequantizedWeight();
        const [rows, width] = weight.shape;
        const all = Math.min(rows, width);
        const { left } = truncatedSvd(rowsOf(weight.dataSync(), rows, width), all); // once
        weight.dispose();
        return columns(left.slice(all - rank));
      },
    };
  },
});

/**
 * LoftQ in 4-bit NormalFloat, blocks of 64; `rounds` of quantising and decomposing. Made for α = r.
 * @throws PEFT_CONFIG_INVALID
 */
export function loftqInit(rounds = 1): LoraInitializer {
  check.positiveInteger('lora', 'the rounds of init loftq', rounds);
  return Object.freeze({
    name: 'loftq',
    peftValue: 'loftq',
    replacesBase: true,
    peftConfig: { loftq_config: { loftq_bits: 4, loftq_iter: rounds } },
    start(call: LoraInitCall) {
      requireDirections('loftq', call);
      let factors: Factors | undefined;
      call.context.replaceWeight((weight) => {
        const quantized = loftq(weight, call.rank, rounds);
        factors = quantized.factors;
        return quantized.weight;
      });
      return { a: () => factors!.a, b: () => factors!.b };
    },
  });
}

/** A matrix has as many directions as its smaller side. @throws PEFT_CONFIG_INVALID for fewer than r */
function requireDirections(init: string, { site, rank }: LoraInitCall): void {
  const directions = Math.min(site.inFeatures, site.outFeatures);
  if (rank > directions)
    throw new PeftError(
      'PEFT_CONFIG_INVALID',
      `lora: init "${init}" takes ${rank} directions of ${site.path}, which has ${directions}.`,
      { hint: `lower the rank to ${directions}, there alone by rankPattern, or take another init` },
    );
}

/** W ← W − s·B·A. */
function takingOver(
  init: string,
  call: LoraInitCall,
  decompose: (w: Rows, call: LoraInitCall) => Factors,
): ReturnType<LoraInitializer['start']> {
  requireDirections(init, call);
  let factors: Factors | undefined;
  const { rank, scaling } = call;
  call.context.replaceWeight((weight) => {
    const [rows, width] = weight.shape;
    factors = decompose(rowsOf(weight.dataSync(), rows, width), call); // once, while attaching
    return tf.sub(
      weight,
      tf.mul(
        tf.matMul(tf.tensor2d(factors.b, [rows, rank]), tf.tensor2d(factors.a, [rank, width])),
        scaling,
      ),
    );
  });
  return { a: () => factors!.a, b: () => factors!.b };
}

function loftq(
  weight: Tensor2D,
  rank: number,
  rounds: number,
): { weight: Tensor2D; factors: Factors } {
  const [rows, width] = weight.shape;
  const original = weight.dataSync<'float32'>();
  let rest = original;
  let quantized = original;
  let factors: Factors = { a: new Float32Array(rank * width), b: new Float32Array(rows * rank) };
  for (let round = 0; round < rounds; round += 1) {
    const { packed, absmax } = quantize4Bit(rest, 'nf4', BLOCK_SIZE);
    quantized = dequantize4Bit(packed, absmax, 'nf4', BLOCK_SIZE, rest.length);
    factors = balanced(
      truncatedSvd(
        rowsOf(
          original.map((value, i) => value - quantized[i]!),
          rows,
          width,
        ),
        rank,
      ),
      1,
    );
    const product = tf.tidy(() =>
      tf
        .matMul(tf.tensor2d(factors.b, [rows, rank]), tf.tensor2d(factors.a, [rank, width]))
        .dataSync<'float32'>(),
    );
    rest = original.map((value, i) => value - product[i]!);
  }
  return { weight: tf.tensor2d(quantized, [rows, width]), factors };
}

/** B = U·√(S/s), A = √(S/s)·Vᵀ. */
function balanced({ values, left, right }: Svd, scaling: number): Factors {
  const roots = values.map((value) => Math.sqrt(value / scaling));
  return {
    a: flat(right.map((v, k) => v.map((value) => value * roots[k]!))),
    b: columns(left.map((u, k) => u.map((value) => value * roots[k]!))),
  };
}

const flat = (rows: readonly Float64Array[]): Float32Array =>
  Float32Array.from(rows.flatMap((row) => [...row]));
/** The vectors as columns, row-major. */
const columns = (vectors: readonly Float64Array[]): Float32Array =>
  Float32Array.from(
    { length: vectors.length * vectors[0]!.length },
    (_, i) => vectors[i % vectors.length]![Math.floor(i / vectors.length)]!,
  );
