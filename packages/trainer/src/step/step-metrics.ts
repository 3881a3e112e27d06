/** Means over the micro-batches of a step, of what its task measures. */
import type { Measure, Report } from '../tasks/task.js';

/** What a task told at once, by name. */
export type Measures = Awaited<Parameters<Report>[0]>;

/** @returns undefined where nothing was measured. */
export function meansOf(told: readonly Measures[]): Readonly<Record<string, number>> | undefined {
  const totals = new Map<string, Measure>();
  for (const [name, { sum, count }] of told.flatMap((measures) => Object.entries(measures))) {
    const total = totals.get(name) ?? { sum: 0, count: 0 };
    totals.set(name, { sum: total.sum + sum, count: total.count + count });
  }
  const measured = [...totals].filter(([, { count }]) => count > 0);
  return measured.length === 0
    ? undefined
    : Object.fromEntries(measured.map(([name, { sum, count }]) => [name, sum / count]));
}
