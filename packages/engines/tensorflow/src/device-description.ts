/** What the engine computes on, in words and numbers. */
import { readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import type { PeftError } from '@peft/errors';
import { gpuProblem } from './gpu/gpu-problem.js';
import { probeGpus, visibleGpus, type Gpu } from './gpu/gpu-probe.js';
import { findInstallations } from './installation.js';

/** The device that computes. */
export interface DeviceDescription {
  readonly kind: 'cpu' | 'gpu';
  /** The card's name, or `CPU, 8 threads`. */
  readonly name: string;
  readonly tensorflowVersion: string;
  /**
   * The card in use, as it was when this process first used it: TensorFlow keeps what it takes from
   * then on.
   */
  readonly gpu?: Gpu;
  /** Where the CPU computes: why no GPU does. */
  readonly gpuProblem?: PeftError;
}

let firstSeen: Gpu | undefined;

export function describeDevice(isGpu: boolean, tensorflowVersion: string): DeviceDescription {
  const probe = probeGpus();
  const gpu = (firstSeen ??= visibleGpus(probe)[0]);
  if (isGpu) return { kind: 'gpu', name: gpu?.name ?? 'GPU', tensorflowVersion, gpu };
  const threads = Number(process.env['TF_NUM_INTRAOP_THREADS']) || cpus().length;
  return {
    kind: 'cpu',
    name: `CPU, ${threads} thread${threads === 1 ? '' : 's'}`,
    tensorflowVersion,
    gpuProblem: gpuProblem(probe, findInstallations().found[0]?.build),
  };
}

/**
 * Whether the device has instructions for products in bfloat16: compute capability 8.0, or AVX-512
 * BF16 or AMX on Linux.
 */
export function hasFastBfloat16(
  { kind, gpu }: Pick<DeviceDescription, 'kind' | 'gpu'>,
  cpuFlags: () => string = readCpuFlags,
): boolean {
  return kind === 'gpu'
    ? (gpu?.computeCapability ?? 0) >= 8
    : /\b(avx512_bf16|amx_bf16)\b/.test(cpuFlags());
}

function readCpuFlags(): string {
  try {
    return /^flags\s*:(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1] ?? '';
  } catch {
    return '';
  }
}
