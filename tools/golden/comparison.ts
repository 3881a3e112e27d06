/** Collects differences between computed and expected tensors of one case. */
import type { GoldenCase, GoldenContext, GoldenResult } from './golden-case.js';

interface Difference {
  readonly name: string;
  readonly error: number;
  readonly tolerance: number;
}

export class Comparison {
  readonly #differences: Difference[] = [];
  readonly #problems: string[] = [];
  readonly #seen = new Set<string>();

  constructor(
    readonly golden: GoldenCase,
    private readonly onCompared?: GoldenContext['onCompared'],
  ) {}

  has(name: string): boolean {
    return this.golden.tensors.has(name);
  }

  /** Names that begin like this. */
  names(prefix: string): string[] {
    return [...this.golden.tensors.keys()].filter((name) => name.startsWith(prefix));
  }

  /** Compares one tensor element by element. */
  tensor(name: string, actual: ArrayLike<number>): void {
    const expected = this.golden.tensors.get(name);
    this.#seen.add(name);
    if (!expected) return void this.#problems.push(`${name}: nothing is expected of that name`);
    if (actual.length !== expected.values.length)
      return void this.#problems.push(
        `${name}: ${actual.length} values, expected ${expected.values.length} as [${expected.shape.join(', ')}]`,
      );
    this.onCompared?.(name, actual, expected.values);
    let error = 0;
    for (let i = 0; i < expected.values.length; i += 1) {
      const difference = Math.abs(actual[i]! - expected.values[i]!);
      error = Number.isNaN(difference) ? Number.POSITIVE_INFINITY : Math.max(error, difference);
    }
    this.#differences.push({ name, error, tolerance: expected.tolerance ?? 0 });
  }

  /** Compares a number that is not in the tensor file. */
  number(name: string, actual: number, expected: number, tolerance: number): void {
    const error = Math.abs(actual - expected);
    this.#differences.push({
      name,
      error: Number.isNaN(error) ? Number.POSITIVE_INFINITY : error,
      tolerance,
    });
  }

  /** Compares lists, names or settings exactly. */
  equal(name: string, actual: unknown, expected: unknown): void {
    const [got, wanted] = [JSON.stringify(actual), JSON.stringify(expected)];
    if (got === wanted) this.#differences.push({ name, error: 0, tolerance: 0 });
    else this.#problems.push(`${name}: got ${cut(got)}, expected ${cut(wanted)}`);
  }

  /** Says that an expected tensor is an input of the case and not to be computed. */
  input(...names: readonly string[]): void {
    for (const name of names) this.#seen.add(name);
  }

  fail(problem: string): void {
    this.#problems.push(problem);
  }

  /** Fails also where an expected tensor was never compared. */
  result(): GoldenResult {
    const missing = [...this.golden.tensors.keys()].filter((name) => !this.#seen.has(name));
    const failures = this.#differences.filter(({ error, tolerance }) => error > tolerance);
    const describe = ({ name, error, tolerance }: Difference) =>
      `${name} ${error.toExponential(1)} of ${tolerance}`;
    const problems = [
      ...this.#problems,
      ...failures.sort((a, b) => b.error - a.error).map(describe),
      ...(missing.length ? [`not compared: ${missing.join(', ')}`] : []),
    ];
    if (problems.length)
      return {
        status: 'failed',
        detail:
          problems.slice(0, 6).join('; ') +
          (problems.length > 6 ? `; and ${problems.length - 6} more` : ''),
      };
    const worst = this.#differences.reduce<Difference | undefined>(
      (best, each) =>
        !best || each.error / (each.tolerance || 1) > best.error / (best.tolerance || 1)
          ? each
          : best,
      undefined,
    );
    return {
      status: 'passed',
      detail: `${this.#differences.length} compared${worst ? `, worst ${describe(worst)}` : ''}`,
    };
  }
}

const cut = (text = 'nothing'): string => (text.length > 120 ? `${text.slice(0, 117)}...` : text);
