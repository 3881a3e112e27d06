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
    ['optimiser state', plan.optimizerStateBytes, plan.pagedStateBytes > 0 ? `and ${gigabytes(plan.pagedStateBytes)} in a page file` : undefined] as readonly [string, number, string?],
    ['activations', plan.activationBytes, 'of one micro-batch'],
    ['runtime', plan.runtimeBytes],
    ['peak', plan.peakBytes, `${gigabytes(plan.machine.usableBytes)} of ${gigabytes(plan.machine.totalBytes)} are free: ${plan.fits ? 'it fits' : 'it does not fit'}`],
  ];
  return rows.map(([name, bytes, note]) => `${name.padEnd(16)} ${gigabytes(bytes).padStart(9)}${note ? `   ${note}` : ''}`).join('\n');
}
