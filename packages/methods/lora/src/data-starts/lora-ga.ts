/**
 * LoRA-GA: the first step of LoRA goes where that of full fine-tuning would. Wang, Yu and Li 2024,
 * "LoRA-GA: Low-Rank Adaptation with Gradient Approximation", algorithm 1:
 *
 *   G = ∇_W loss = U·Σ·Vᵀ, A₀ = V_Iᵀ, B₀ = U_J·Σ_J·f, I and J of the 2r largest
 *   f = d_out^¼/√γ (`stable`), σ₁(W)/Σ_J₁ (`weight_svd`), 1/s for both (`gd_scale`), 1 (`unit`)
 *
 * s·B₀·A₀ leaves the base weight, so that training starts at the base's function. G is the mean
 * over micro-batches of the gradient of their mean loss, without dropout.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor } from '@tensorflow/tfjs';
import { zeros, type MatrixParameter, type SiteHandle, type StartFromData } from '@peft/core';
import { PeftError } from '@peft/errors';
import {
  add,
  dominantSvd,
  linear,
  randomKey,
  randomNormal,
  readValues,
  rowsOf,
  variableGradients,
} from '@peft/ops';
import { strengthAt, type LoraConfig } from '../lora-config.js';
import type { DataStart } from './data-start-options.js';
import type { StartMatrices } from './given-start.js';
import { attachProbe } from './observe-inputs.js';

interface Layer {
  readonly site: SiteHandle<'linear'>;
  /** Zero `[out, in]`, beside the weight: the loss has W's gradient towards it. */
  readonly shift: MatrixParameter;
}

/** @throws PEFT_CONFIG_INVALID for a rank of which a layer does not have twice as many directions */
export async function loraGaStart(
  config: LoraConfig,
  options: DataStart,
  { model, part, data }: StartFromData,
): Promise<ReadonlyMap<string, StartMatrices>> {
  const layers: Layer[] = [];
  const remove = attachProbe(model, part, (site, context) => {
    requireDirections(site, strengthAt(site.path, config).rank);
    const shift = context.param('start_gradient', [site.outFeatures, site.inFeatures], zeros);
    layers.push({ site, shift });
    return { forward: (x, base) => add(base(x), linear(x, shift.value)) };
  });
  const sums = new Map<string, Tensor>();
  let count = 0;
  try {
    for await (const batch of data.batches(options.batches)) {
      const { value, gradients } = tf.tidy(() => {
        const made = variableGradients(
          () => data.loss(batch),
          layers.map(({ shift }) => shift.value),
        );
        for (const tensor of [made.value, ...Object.values(made.gradients)]) tf.keep(tensor);
        return made;
      });
      value.dispose();
      count += 1;
      for (const [name, gradient] of Object.entries(gradients)) {
        const known = sums.get(name);
        sums.set(name, known ? tf.add(known, gradient) : gradient);
        if (known) tf.dispose([known, gradient]);
      }
    }
    const matrices = new Map<string, StartMatrices>();
    for (const layer of layers) {
      const gradient = sums.get(layer.shift.value.name);
      if (gradient)
        matrices.set(layer.site.path, await started(layer.site, gradient, count, config, options));
    }
    return matrices;
  } finally {
    tf.dispose([...sums.values()]);
    remove();
  }
}

function requireDirections(
  { path, inFeatures, outFeatures }: SiteHandle<'linear'>,
  rank: number,
): void {
  const most = Math.min(inFeatures, outFeatures);
  if (2 * rank > most)
    throw new PeftError(
      'PEFT_CONFIG_INVALID',
      `lora: init 'lora_ga' takes 2r = ${2 * rank} directions of ${path}, which has ${most}.`,
      { hint: `lower the rank to ${Math.floor(most / 2)}, there alone by rankPattern` },
    );
}

async function started(
  site: SiteHandle<'linear'>,
  sum: Tensor,
  count: number,
  config: LoraConfig,
  { direction, scale, stableGamma }: DataStart,
): Promise<StartMatrices> {
  const { rank, scaling } = strengthAt(site.path, config);
  const { outFeatures, inFeatures } = site;
  // decomposed outside of the backend, in float64
  const svd = dominantSvd(rowsOf(await readValues(sum), outFeatures, inFeatures), 2 * rank);
  const strengths = svd.values.map((value) => value / count);
  const { ofA, ofB } = places(direction, rank, site.path);
  let [growA, growB] = [1, 1];
  if (scale === 'stable') growB = outFeatures ** 0.25 / Math.sqrt(stableGamma);
  if (scale === 'gd_scale') growA = growB = 1 / scaling;
  if (scale === 'weight_svd') {
    const first = strengths[ofB[0]!]!;
    if (first > 0) growB = (await largestSingularValue(site)) / first;
  }
  return {
    a: Float32Array.from(ofA.flatMap((k) => [...svd.right[k]!].map((value) => value * growA))),
    b: Float32Array.from({ length: outFeatures * rank }, (_, at) => {
      const k = ofB[at % rank]!;
      return svd.left[k]![Math.floor(at / rank)]! * strengths[k]! * growB;
    }),
  };
}

/** Which of the 2r directions A and B take. */
function places(
  direction: DataStart['direction'],
  rank: number,
  path: string,
): { readonly ofA: readonly number[]; readonly ofB: readonly number[] } {
  const range = (start: number, step: number) =>
    Array.from({ length: rank }, (_, k) => start + k * step);
  if (direction === 'ArBr') return { ofA: range(1, 2), ofB: range(0, 2) };
  if (direction === 'A2rBr') return { ofA: range(rank, 1), ofB: range(0, 1) };
  if (direction === 'ArB2r') return { ofA: range(0, 1), ofB: range(rank, 1) };
  const key = randomKey(0, 'lora-ga', path);
  const drawn = Array.from({ length: 2 * rank }, (_, k) => ({ k, at: randomNormal(key, k) }))
    .sort((a, b) => a.at - b.at)
    .slice(0, rank)
    .map(({ k }) => k);
  return { ofA: drawn, ofB: drawn };
}

async function largestSingularValue(site: SiteHandle<'linear'>): Promise<number> {
  const weight = site.dequantizedWeight();
  const rows = rowsOf(await readValues(weight), ...weight.shape);
  weight.dispose();
  return dominantSvd(rows, 1).values[0]!;
}
