/** Time by kernel: what a benchmark's `--profile` prints. */
import * as tf from '@tensorflow/tfjs';
import type { Engine } from '@peft/ops';

/** What of an engine a step calls beside tfjs's kernels. */
const PRODUCTS = [
  'linear',
  'linearActivated',
  'linearAdded',
  'linearAddedGradient',
  'linearInputGradient',
  'linearCrossEntropy',
  'gather',
] as const;

/** Calls of kernels since they were watched, and the time in them. */
export interface KernelTimes {
  /** Begins anew. */
  reset(): void;
  /** Lines of the kernels that took longest, and of what was spent outside of them in `totalMs`. */
  report(title: string, totalMs: number): string;
}

/** Times every kernel of tfjs and every product of the engine from now on. */
export function watchKernels(engine: Engine): KernelTimes {
  const spent = new Map<string, { ms: number; calls: number }>();
  const timed =
    (name: (args: readonly unknown[]) => string, run: (...args: unknown[]) => unknown) =>
    (...args: unknown[]): unknown => {
      const start = performance.now();
      try {
        return run(...args);
      } finally {
        const key = name(args);
        const entry = spent.get(key) ?? { ms: 0, calls: 0 };
        spent.set(key, { ms: entry.ms + performance.now() - start, calls: entry.calls + 1 });
      }
    };
  const patched = tf.engine() as unknown as { runKernel: (...args: unknown[]) => unknown };
  patched.runKernel = timed(([name]) => String(name), patched.runKernel.bind(tf.engine()));
  const products = engine as unknown as Record<string, (...args: unknown[]) => unknown>;
  for (const name of PRODUCTS)
    if (products[name]) products[name] = timed(() => name, products[name].bind(engine));
  return {
    reset: () => spent.clear(),
    report: (title, totalMs) => {
      const inKernels = [...spent.values()].reduce((sum, { ms }) => sum + ms, 0);
      const lines = [...spent]
        .sort((a, b) => b[1].ms - a[1].ms)
        .slice(0, 20)
        .map(
          ([name, { ms, calls }]) =>
            `${name.padEnd(36)} ${ms.toFixed(1).padStart(9)} ms ${String(calls).padStart(6)} calls`,
        );
      return [
        `${title} ${totalMs.toFixed(0)} ms, outside of kernels ${(totalMs - inKernels).toFixed(0)} ms`,
        ...lines,
      ].join('\n');
    },
  };
}
