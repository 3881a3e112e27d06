/** A plan for people. */
import type { MemoryPlan } from './plan-memory.js';

/** Powers of ten, as memory is sold; three digits. */
export function gigabytes(bytes: number): string {
  if (bytes >= 1e9) return `${(bytes / 1e9).toFixed(bytes < 1e10 ? 2 : 1)} GB`;
  return bytes >= 1e6 ? `${(bytes / 1e6).toFixed(bytes < 1e8 ? 1 : 0)} MB` : `${(bytes / 1e3).toFixed(1)} kB`;
}

/** One line for each part, the peak, and what the machine has. */
export function formatPlan(plan: MemoryPlan): string {
  const rows: (readonly [string, number, string?])[] = [
    ['weights', plan.weightBytes],
    ['adapters', plan.adapterBytes, `${plan.trainableParameters.toLocaleString('en-US')} of ${plan.parameters.toLocaleString('en-US')} parameters train`],
    ['gradients', plan.gradientBytes],
    plan.pagedStateBytes > 0 ? ['optimiser state', plan.optimizerStateBytes, `and ${gigabytes(plan.pagedStateBytes)} in a page file`] : ['optimiser state', plan.optimizerStateBytes],
    ['activations', plan.activationBytes, 'of one micro-batch'],
    ['runtime', plan.runtimeBytes],
    ...(plan.evaluationBytes > plan.activationBytes ? [['evaluation', plan.evaluationBytes, 'of one batch without gradients, when no activation lives'] as const] : []),
    ...(plan.updateBytes > plan.activationBytes ? [['update', plan.updateBytes, 'in the optimiser step, when no activation lives'] as const] : []),
    ...(plan.peakBytes === plan.loadingPeakBytes ? [['loading', plan.loadingPeakBytes, 'weights, and the tensor that is being read'] as const] : []),
    ['peak', plan.peakBytes, `${gigabytes(plan.machine.usableBytes)} of ${gigabytes(plan.machine.totalBytes)} are free: ${plan.fits ? 'it fits' : 'it does not fit'}`],
  ];
  return rows.map(([name, bytes, note]) => `${name.padEnd(16)} ${gigabytes(bytes).padStart(9)}${note ? `   ${note}` : ''}`).join('\n');
}
