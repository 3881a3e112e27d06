/** A plan for people. */
import type { GpuPlan } from './gpu-plan.js';
import type { MachineMemory } from './machine-memory.js';
import type { MemoryPlan } from './plan-memory.js';

type Row = readonly [name: string, bytes: number, note?: string];

/** Powers of ten, as memory is sold; three digits. */
export function gigabytes(bytes: number): string {
  if (bytes >= 1e9) return `${(bytes / 1e9).toFixed(bytes < 1e10 ? 2 : 1)} GB`;
  return bytes >= 1e6
    ? `${(bytes / 1e6).toFixed(bytes < 1e8 ? 1 : 0)} MB`
    : `${(bytes / 1e3).toFixed(1)} kB`;
}

/**
 * One line for each part, the peak, and what the machine has; with a GPU the card's part first,
 * then the process's.
 */
export function formatPlan(plan: MemoryPlan): string {
  if (plan.gpu) return formatBoth(plan, plan.gpu);
  return lines([
    ...modelRows(plan),
    plan.pagedStateBytes > 0
      ? [
          'optimiser state',
          plan.optimizerStateBytes,
          `and ${gigabytes(plan.pagedStateBytes)} in a page file`,
        ]
      : ['optimiser state', plan.optimizerStateBytes],
    ['activations', plan.activationBytes, 'of one micro-batch'],
    ['runtime', plan.runtimeBytes],
    ...evaluationRow(plan),
    ...(plan.updateBytes > plan.activationBytes
      ? [['update', plan.updateBytes, 'in the optimiser step, when no activation lives'] as const]
      : []),
    ...loadingRow(plan),
    peakRow(plan.peakBytes, plan.machine),
  ]);
}

function formatBoth(plan: MemoryPlan, gpu: GpuPlan): string {
  const { optimizerStateBytes, pagedStateBytes, machine } = plan;
  const isOnCard = gpu.optimizerStateBytes > 0;
  const card = lines([
    ...modelRows(plan),
    ...(isOnCard
      ? [
          [
            'optimiser state',
            gpu.optimizerStateBytes,
            pagedStateBytes > 0
              ? `and ${gigabytes(pagedStateBytes)} in the machine's memory`
              : undefined,
          ] as const,
        ]
      : []),
    ['activations', plan.activationBytes, 'of one micro-batch'],
    ['runtime', gpu.runtimeBytes, 'of CUDA and TensorFlow'],
    ...evaluationRow(plan),
    ...loadingRow(gpu),
    peakRow(gpu.peakBytes, gpu.memory),
  ]);
  const held = isOnCard ? pagedStateBytes : optimizerStateBytes;
  const process = lines([
    ...(held > 0
      ? [
          [
            'optimiser state',
            held,
            !isOnCard && pagedStateBytes > 0
              ? `and ${gigabytes(pagedStateBytes)} in a page file`
              : undefined,
          ] as const,
        ]
      : []),
    ...(gpu.hostCopyBytes > 0
      ? [
          [
            'copies',
            gpu.hostCopyBytes,
            'of adapters and quantised weights, which TensorFlow keeps',
          ] as const,
        ]
      : []),
    ['runtime', plan.runtimeBytes],
    ...loadingRow(plan),
    peakRow(plan.peakBytes, machine),
  ]);
  return `on ${gpu.name}\n${card}\n\nin the machine's memory\n${process}`;
}

const modelRows = ({
  weightBytes,
  adapterBytes,
  trainableParameters,
  parameters,
  gradientBytes,
}: MemoryPlan): Row[] => [
  ['weights', weightBytes],
  [
    'adapters',
    adapterBytes,
    `${trainableParameters.toLocaleString('en-US')} of ${parameters.toLocaleString('en-US')} parameters train`,
  ],
  ['gradients', gradientBytes],
];

const evaluationRow = ({ evaluationBytes, activationBytes }: MemoryPlan): Row[] =>
  evaluationBytes > activationBytes
    ? [['evaluation', evaluationBytes, 'of one batch without gradients, when no activation lives']]
    : [];
const loadingRow = ({
  peakBytes,
  loadingPeakBytes,
}: {
  readonly peakBytes: number;
  readonly loadingPeakBytes: number;
}): Row[] =>
  peakBytes === loadingPeakBytes
    ? [['loading', loadingPeakBytes, 'weights, and the tensor that is being read']]
    : [];

const peakRow = (peakBytes: number, { usableBytes, totalBytes }: MachineMemory): Row => [
  'peak',
  peakBytes,
  `${gigabytes(usableBytes)} of ${gigabytes(totalBytes)} are free: ` +
    `${peakBytes <= usableBytes ? 'it fits' : 'it does not fit'}`,
];

const lines = (rows: readonly Row[]): string =>
  rows
    .map(
      ([name, bytes, note]) =>
        `${name.padEnd(16)} ${gigabytes(bytes).padStart(9)}${note ? `   ${note}` : ''}`,
    )
    .join('\n');
