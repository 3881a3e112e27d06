/** The numbers of a run's steps, in arrays that grow. */
import type { StepCompleted } from '@peft/core';
import type { StepColumns } from '../api-types.js';

const COLUMNS = ['step', 'loss', 'learningRate', 'gradientNorm', 'tokensPerSecond'] as const;
type Column = (typeof COLUMNS)[number];

/** Steps in the order of a run; a step that comes again replaces itself and what followed it. */
export class StepLog {
  #columns = emptyColumns(1024);
  /** What steps tell beside the columns, by name: as long as the columns, NaN where a step did not. */
  readonly #metrics = new Map<string, Float64Array>();
  #length = 0;

  get length(): number {
    return this.#length;
  }

  add(event: StepCompleted): void {
    const { step, loss, learningRate, gradientNorm, tokens, durationMs, metrics = {} } = event;
    this.keepBefore(step);
    if (this.#length === this.#columns.step.length) this.#grow();
    const at = this.#length;
    this.#columns.step[at] = step;
    this.#columns.loss[at] = orNaN(loss);
    this.#columns.learningRate[at] = orNaN(learningRate);
    this.#columns.gradientNorm[at] = orNaN(gradientNorm);
    this.#columns.tokensPerSecond[at] = durationMs > 0 ? (tokens * 1000) / durationMs : Number.NaN;
    for (const name of Object.keys(metrics))
      if (!this.#metrics.has(name)) this.#metrics.set(name, unknown(this.#columns.step.length));
    for (const [name, values] of this.#metrics) values[at] = orNaN(metrics[name] ?? null);
    this.#length += 1;
  }

  /** Forgets steps from this one on: a resumed run does them again. */
  keepBefore(step: number): void {
    while (this.#length > 0 && this.#columns.step[this.#length - 1]! >= step) this.#length -= 1;
  }

  /**
   * Steps after the first `after`, at most about `most`: of each stretch its first step and those
   * with the least loss, the most loss and the largest gradient.
   */
  thinned(after: number, most: number): StepColumns {
    const start = Math.min(after, this.#length);
    const chosen = this.#chosen(start, Math.max(1, Math.floor(most / 4)));
    const of = (values: Float64Array): (number | null)[] =>
      chosen.map((at) => (Number.isFinite(values[at]) ? values[at]! : null));
    const pick = (name: Column): (number | null)[] => of(this.#columns[name]);
    return {
      step: pick('step') as number[],
      loss: pick('loss'),
      learningRate: pick('learningRate'),
      gradientNorm: pick('gradientNorm'),
      tokensPerSecond: pick('tokensPerSecond'),
      metrics: Object.fromEntries([...this.#metrics].map(([name, values]) => [name, of(values)])),
    };
  }

  #chosen(start: number, stretches: number): number[] {
    const count = this.#length - start;
    if (count <= stretches * 4) return Array.from({ length: count }, (_, i) => start + i);
    const { loss, gradientNorm } = this.#columns;
    const chosen: number[] = [];
    for (let part = 0; part < stretches; part += 1) {
      const from = start + Math.floor((part * count) / stretches);
      const to = start + Math.floor(((part + 1) * count) / stretches);
      const kept = new Set([from, to - 1 === this.#length - 1 ? to - 1 : from]);
      let [low, high, steep] = [from, from, from];
      for (let at = from; at < to; at += 1) {
        if (loss[at]! < loss[low]!) low = at;
        if (loss[at]! > loss[high]!) high = at;
        if (gradientNorm[at]! > gradientNorm[steep]!) steep = at;
      }
      for (const at of [low, high, steep]) kept.add(at);
      chosen.push(...[...kept].sort((a, b) => a - b));
    }
    return chosen;
  }

  #grow(): void {
    const length = this.#columns.step.length * 2;
    const larger = emptyColumns(length);
    for (const name of COLUMNS) larger[name].set(this.#columns[name]);
    this.#columns = larger;
    for (const [name, values] of this.#metrics) {
      const more = unknown(length);
      more.set(values);
      this.#metrics.set(name, more);
    }
  }
}

const emptyColumns = (length: number): Record<Column, Float64Array> => ({
  step: new Float64Array(length),
  loss: new Float64Array(length),
  learningRate: new Float64Array(length),
  gradientNorm: new Float64Array(length),
  tokensPerSecond: new Float64Array(length),
});

const unknown = (length: number): Float64Array => new Float64Array(length).fill(Number.NaN);

/** What is not finite is null in a log. */
const orNaN = (value: number | null): number => value ?? Number.NaN;
