/**
 * Which subspaces of all layers train: importance by sensitivity and its uncertainty, smoothed over
 * the steps of an interval, and a number that falls over time, as PEFT 0.21 has it:
 *
 *   score = mean(Ī·Ū) of A + of B, Ū of Ī before its update
 *   number = ⌊target + (all − target)·(1 − (t − t₁)/(t₂ − t₁))^p⌋
 *
 * Those that score more than the one of that number go on; what once rests stays so.
 */
import {
  ImportanceScores,
  type Importance,
  type MatrixParameter,
  type StepCall,
  type StepMemory,
} from '@peft/core';
import type { AdamssConfig } from './adamss-config.js';

/** A subspace's trained pair. */
export interface SubspacePair {
  readonly a: MatrixParameter;
  readonly b: MatrixParameter;
}

/** Counts the importance of every subspace, and lets those rest that matter least. */
export class SubspaceAllocator implements StepMemory {
  readonly pairs: SubspacePair[] = [];
  readonly #importance: ImportanceScores;
  readonly #resting = new Set<SubspacePair>();

  constructor(readonly config: AdamssConfig) {
    const { beta1, beta2 } = config;
    this.#importance = new ImportanceScores({ beta1, beta2, deviation: 'before' });
  }

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
      for (const parameter of [a, b])
        await this.#importance.observe(parameter, gradient(parameter));
    if (step % interval !== 0) return;
    this.#allocate(this.#numberAt(step));
    this.#importance.clear();
  }

  save(): Record<string, Float32Array> {
    const resting = [...this.#resting].map(
      ({ a }) => [`${a.name} rests`, Float32Array.of(1)] as const,
    );
    return { ...this.#importance.save(), ...Object.fromEntries(resting) };
  }

  restore(values: Readonly<Record<string, Float32Array>>): void {
    this.#importance.restore(
      this.pairs.flatMap(({ a, b }) => [a, b]),
      values,
    );
    this.#resting.clear();
    for (const pair of this.pairs) if (values[`${pair.a.name} rests`]) this.#resting.add(pair);
  }

  #numberAt(step: number): number {
    const { initialWarmup, finalWarmup, targetSubspaces, exponent } = this.config;
    const left = 1 - (step - initialWarmup) / (finalWarmup - initialWarmup);
    const more = this.pairs.length - targetSubspaces;
    return Math.trunc(targetSubspaces + more * left ** exponent);
  }

  #allocate(number: number): void {
    const scored = this.pairs.flatMap((pair) => {
      const [a, b] = [this.#importance.of(pair.a), this.#importance.of(pair.b)];
      return a && b ? [{ pair, score: scoreOf(a) + scoreOf(b) }] : [];
    });
    if (number >= scored.length) return;
    const limit = scored.map(({ score }) => score).sort((a, b) => b - a)[number - 1]!;
    for (const { pair, score } of scored) if (score <= limit) this.#resting.add(pair);
  }
}

function scoreOf({ sensitivity, uncertainty }: Importance): number {
  let sum = 0;
  for (let i = 0; i < sensitivity.length; i += 1) sum += sensitivity[i]! * uncertainty[i]!;
  return sum / sensitivity.length;
}
