/**
 * Which directions of all layers stay: importance by sensitivity and its uncertainty, smoothed over
 * steps, and a budget that shrinks with the cube of the time left. Zhang et al. 2023, eqs. 8 to 12:
 *
 *   I = |w·∇w|,  Ī ← β₁·Ī + (1−β₁)·I,  Ū ← β₂·Ū + (1−β₂)·|I − Ī|,  s = Ī·Ū
 *   score of direction i = s(E_i) + mean_j s(A_ij) + mean_j s(B_ji)
 */
import * as tf from '@tensorflow/tfjs';
import {
  ImportanceScores,
  type AdapterParameter,
  type MatrixParameter,
  type StepCall,
  type StepMemory,
} from '@peft/core';
import type { AdaloraConfig } from './adalora-config.js';

/** A layer's triplet: A `[r, in]`, E `[r, 1]`, B `[out, r]`. */
export interface Triplet {
  readonly path: string;
  readonly a: MatrixParameter;
  readonly e: MatrixParameter;
  readonly b: MatrixParameter;
}

/**
 * Counts the importance of every direction while AdaLoRA trains, and prunes those that matter least
 * (Zhang et al. 2023, equations 8 to 12).
 */
export class RankAllocator implements StepMemory {
  readonly triplets: Triplet[] = [];
  /** Kept directions by `<path>.lora_E`, once ranks were allocated. */
  rankPattern: Readonly<Record<string, readonly boolean[]>> | undefined;
  readonly #importance: ImportanceScores;

  constructor(readonly config: AdaloraConfig) {
    const { beta1, beta2 } = config;
    this.#importance = new ImportanceScores({ beta1, beta2, deviation: 'after' });
  }

  /** After an optimiser step. Steps count from 1; PEFT counts them from 0. */
  async update({ step: count, gradient }: StepCall): Promise<void> {
    const { totalSteps, finalSteps } = this.config;
    const step = count - 1;
    const lastAllocation = totalSteps - finalSteps;
    if (step > lastAllocation) return this.#mask();
    if (step < lastAllocation)
      for (const { a, e, b } of this.triplets)
        for (const parameter of [a, e, b])
          await this.#importance.observe(parameter, gradient(parameter));
    const { budget, isDue } = this.#schedule(step);
    if (isDue || step === lastAllocation) this.#allocate(budget);
    if (step === lastAllocation) this.#importance.clear();
  }

  save(): Record<string, Float32Array> {
    const kept = Object.entries(this.rankPattern ?? {}).map(
      ([name, pattern]) => [`${name} kept`, Float32Array.from(pattern, Number)] as const,
    );
    return { ...this.#importance.save(), ...Object.fromEntries(kept) };
  }

  restore(values: Readonly<Record<string, Float32Array>>): void {
    this.#importance.restore(
      this.triplets.flatMap(({ a, e, b }) => [a, e, b]),
      values,
    );
    const kept = this.triplets.flatMap(({ e }) =>
      values[`${e.name} kept`]
        ? [[e.name, Array.from(values[`${e.name} kept`]!, Boolean)] as const]
        : [],
    );
    this.rankPattern = kept.length > 0 ? Object.fromEntries(kept) : undefined;
  }

  #schedule(step: number): { budget: number; isDue: boolean } {
    const { initialSteps, finalSteps, totalSteps, initialRank, targetRank, interval } = this.config;
    const [first, last] = [initialRank * this.triplets.length, targetRank * this.triplets.length];
    if (step <= initialSteps) return { budget: first, isDue: false };
    if (step > totalSteps - finalSteps) return { budget: last, isDue: true };
    const left = 1 - (step - initialSteps) / (totalSteps - finalSteps - initialSteps);
    return { budget: Math.trunc((first - last) * left ** 3 + last), isDue: step % interval === 0 };
  }

  #allocate(budget: number): void {
    const scores = this.triplets.map((triplet) => this.#scoresOf(triplet));
    const all = scores.flatMap((list) => [...list]).sort((a, b) => a - b);
    const dropped = all.length - budget;
    const threshold = dropped > 0 ? all[dropped - 1]! : Number.NEGATIVE_INFINITY;
    this.rankPattern = Object.fromEntries(
      this.triplets.map(({ path }, i) => [
        `${path}.lora_E`,
        [...scores[i]!].map((score) => score > threshold),
      ]),
    );
    this.#mask();
  }

  #scoresOf({ a, e, b }: Triplet): Float32Array {
    const rank = e.shape[0]!;
    const [columns, rows] = [a.shape[1]!, b.shape[0]!];
    const score = (parameter: AdapterParameter, i: number): number => {
      const seen = this.#importance.of(parameter);
      return seen ? seen.sensitivity[i]! * seen.uncertainty[i]! : 0;
    };
    return Float32Array.from({ length: rank }, (_, i) => {
      let [sumA, sumB] = [0, 0];
      for (let j = 0; j < columns; j += 1) sumA += score(a, i * columns + j);
      for (let j = 0; j < rows; j += 1) sumB += score(b, j * rank + i);
      return score(e, i) + sumA / columns + sumB / rows;
    });
  }

  /** Sets the singular values of dropped directions to zero. */
  #mask(): void {
    for (const { path, e } of this.triplets) {
      const kept = this.rankPattern?.[`${path}.lora_E`];
      if (!kept?.includes(false)) continue;
      tf.tidy(() =>
        e.value.assign(tf.mul(e.value, tf.tensor2d(kept.map(Number), [kept.length, 1]))),
      );
    }
  }
}
