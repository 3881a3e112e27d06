/** Means over the micro-batches of a step, of what its task measures. */
import type { Measure, Report } from '../tasks/task.js';

/** Adds measures and gives their means. */
export interface StepMetrics {
  readonly report: Report;
  /** undefined where nothing was measured. */
  means(): Readonly<Record<string, number>> | undefined;
}

export function createStepMetrics(): StepMetrics {
  const totals = new Map<string, Measure>();
  return {
    report(measures) {
      for (const [name, { sum, count }] of Object.entries(measures)) {
        const total = totals.get(name) ?? { sum: 0, count: 0 };
        totals.set(name, { sum: total.sum + sum, count: total.count + count });
      }
    },
    means() {
      const measured = [...totals].filter(([, { count }]) => count > 0);
      return measured.length === 0
        ? undefined
        : Object.fromEntries(measured.map(([name, { sum, count }]) => [name, sum / count]));
    },
  };
}
