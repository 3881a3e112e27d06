/**
 * Which subspaces of all layers train: importance by sensitivity and its uncertainty, smoothed over
 * the steps of an interval, and a number that falls over time, as PEFT 0.21 has it:
 *
 *   I = |w·∇w|,  Ū ← β₂·Ū + (1−β₂)·|I − Ī|,  Ī ← β₁·Ī + (1−β₁)·I,  score = mean(Ī·Ū) of A + of B
 *   number = ⌊target + (all − target)·(1 − (t − t₁)/(t₂ − t₁))^p⌋
 *
 * Those that score more than the one of that number go on; what once rests stays so.
 */
import type { AdapterParameter, MatrixParameter, StepCall, StepMemory } from '@peft/core';
import type { AdamssConfig } from './adamss-config.js';

/** A subspace's trained pair. */
export interface SubspacePair {
  readonly a: MatrixParameter;
  readonly b: MatrixParameter;
}

interface Importance {
  readonly sensitivity: Float32Array;
  readonly uncertainty: Float32Array;
}

/** Counts the importance of every subspace, and lets those rest that matter least. */
export class SubspaceAllocator implements StepMemory {
  readonly pairs: SubspacePair[] = [];
  readonly #importance = new Map<AdapterParameter, Importance>();
  readonly #resting = new Set<SubspacePair>();

  constructor(readonly config: AdamssConfig) {}

  /** Whether a subspace gets no gradient any more. */
  rests(pair: SubspacePair): boolean {
    return this.#resting.has(pair);
  }

  /** After an optimiser step. Steps count from 1; PEFT counts them from 0. */
  async update({ step: count, gradient }: StepCall): Promise<void> {
    const { initialWarmup, finalWarmup, interval } = this.config;
    const step = count - 1;
    if (step < initialWarmup || step > finalWarmup) return;
    for (const { a, b } of this.pairs)
      for (const parameter of [a, b]) await this.#observe(parameter, gradient(parameter));
    if (step % interval !== 0) return;
    this.#allocate(this.#numberAt(step));
    this.#importance.clear();
  }

  save(): Record<string, Float32Array> {
    const importance = [...this.#importance].flatMap(([{ name }, seen]) => [
      [`${name} sensitivity`, seen.sensitivity] as const,
      [`${name} uncertainty`, seen.uncertainty] as const,
    ]);
    const resting = [...this.#resting].map(({ a }) => [`${a.name} rests`, Float32Array.of(1)]);
    return Object.fromEntries([...importance, ...resting]) as Record<string, Float32Array>;
  }

  restore(values: Readonly<Record<string, Float32Array>>): void {
    this.#importance.clear();
    this.#resting.clear();
    for (const pair of this.pairs) {
      if (values[`${pair.a.name} rests`]) this.#resting.add(pair);
      for (const parameter of [pair.a, pair.b]) {
        const sensitivity = values[`${parameter.name} sensitivity`]?.slice();
        const uncertainty = values[`${parameter.name} uncertainty`]?.slice();
        if (sensitivity && uncertainty)
          this.#importance.set(parameter, { sensitivity, uncertainty });
      }
    }
  }

  async #observe(parameter: AdapterParameter, gradient: StepGradient): Promise<void> {
    if (!gradient) return;
    const { beta1, beta2 } = this.config;
    // once a step; the scores are sorted here
    const [values, slopes] = await Promise.all([
      parameter.value.data<'float32'>(),
      gradient.data<'float32'>(),
    ]);
    const seen = this.#importance.get(parameter) ?? {
      sensitivity: new Float32Array(values.length),
      uncertainty: new Float32Array(values.length),
    };
    this.#importance.set(parameter, seen);
    for (let i = 0; i < values.length; i += 1) {
      const now = Math.abs(values[i]! * slopes[i]!);
      seen.uncertainty[i] =
        beta2 * seen.uncertainty[i]! + (1 - beta2) * Math.abs(now - seen.sensitivity[i]!);
      seen.sensitivity[i] = beta1 * seen.sensitivity[i]! + (1 - beta1) * now;
    }
  }

  #numberAt(step: number): number {
    const { initialWarmup, finalWarmup, targetSubspaces, exponent } = this.config;
    const left = 1 - (step - initialWarmup) / (finalWarmup - initialWarmup);
    const more = this.pairs.length - targetSubspaces;
    return Math.trunc(targetSubspaces + more * left ** exponent);
  }

  #allocate(number: number): void {
    const scored = this.pairs.flatMap((pair) => {
      const [a, b] = [this.#importance.get(pair.a), this.#importance.get(pair.b)];
      return a && b ? [{ pair, score: scoreOf(a) + scoreOf(b) }] : [];
    });
    if (number >= scored.length) return;
    const limit = scored.map(({ score }) => score).sort((a, b) => b - a)[number - 1]!;
    for (const { pair, score } of scored) if (score <= limit) this.#resting.add(pair);
  }
}

type StepGradient = ReturnType<StepCall['gradient']>;

function scoreOf({ sensitivity, uncertainty }: Importance): number {
  let sum = 0;
  for (let i = 0; i < sensitivity.length; i += 1) sum += sensitivity[i]! * uncertainty[i]!;
  return sum / sensitivity.length;
}
