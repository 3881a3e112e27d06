/**
 * How much each element of parameters matters: its sensitivity and how uncertain that is, smoothed
 * over steps. Zhang et al. 2023, "AdaLoRA: Adaptive Budget Allocation for Parameter-Efficient
 * Fine-Tuning", eqs. 9 to 11:
 *
 *   I = |w·∇w|,  Ū ← β₂·Ū + (1−β₂)·|I − Ī|,  Ī ← β₁·Ī + (1−β₁)·I
 *
 * |I − Ī| is of Ī before its own update in `'before'`, and after it in `'after'`.
 */
import type { Tensor } from '@tensorflow/tfjs';
import type { AdapterParameter, StepMemory } from './attach-context.js';

/** Ī and Ū of a parameter's elements. */
export interface Importance {
  readonly sensitivity: Float32Array;
  readonly uncertainty: Float32Array;
}

/** β₁, β₂, and which Ī the uncertainty is of. */
export interface ImportanceOptions {
  readonly beta1: number;
  readonly beta2: number;
  readonly deviation: 'before' | 'after';
}

/** The importance of parameters, for methods that let the least important rest. */
export class ImportanceScores implements Pick<StepMemory, 'save'> {
  readonly #seen = new Map<AdapterParameter, Importance>();

  constructor(readonly options: ImportanceOptions) {}

  /** What was seen of a parameter; undefined before its first gradient. */
  of(parameter: AdapterParameter): Importance | undefined {
    return this.#seen.get(parameter);
  }

  /** Takes a step's gradient into account; nothing where there was none. */
  async observe(parameter: AdapterParameter, gradient: Tensor | undefined): Promise<void> {
    if (!gradient) return;
    // once a step; the scores are sorted on the host
    const [values, slopes] = await Promise.all([
      parameter.value.data<'float32'>(),
      gradient.data<'float32'>(),
    ]);
    const seen = this.#seen.get(parameter) ?? {
      sensitivity: new Float32Array(values.length),
      uncertainty: new Float32Array(values.length),
    };
    this.#seen.set(parameter, seen);
    const { beta1, beta2, deviation } = this.options;
    const { sensitivity, uncertainty } = seen;
    for (let i = 0; i < values.length; i += 1) {
      const now = Math.abs(values[i]! * slopes[i]!);
      const before = sensitivity[i]!;
      sensitivity[i] = beta1 * before + (1 - beta1) * now;
      const from = deviation === 'before' ? before : sensitivity[i]!;
      uncertainty[i] = beta2 * uncertainty[i]! + (1 - beta2) * Math.abs(now - from);
    }
  }

  clear(): void {
    this.#seen.clear();
  }

  /** Numbers by the parameters' names, for checkpoints. */
  save(): Record<string, Float32Array> {
    return Object.fromEntries(
      [...this.#seen].flatMap(([{ name }, { sensitivity, uncertainty }]) => [
        [`${name} sensitivity`, sensitivity],
        [`${name} uncertainty`, uncertainty],
      ]),
    ) as Record<string, Float32Array>;
  }

  /** @param values what `save` gave */
  restore(
    parameters: readonly AdapterParameter[],
    values: Readonly<Record<string, Float32Array>>,
  ): void {
    this.#seen.clear();
    for (const parameter of parameters) {
      const sensitivity = values[`${parameter.name} sensitivity`]?.slice();
      const uncertainty = values[`${parameter.name} uncertainty`]?.slice();
      if (sensitivity && uncertainty) this.#seen.set(parameter, { sensitivity, uncertainty });
    }
  }
}
