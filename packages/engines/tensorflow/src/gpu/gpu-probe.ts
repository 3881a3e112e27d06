/** What the machine says about NVIDIA cards, without TensorFlow. */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** A GPU as nvidia-smi describes it. */
export interface Gpu {
  readonly name: string;
  /** 8.0 and above multiply bfloat16. */
  readonly computeCapability: number;
  /** NaN where the card has no memory of its own and nvidia-smi says `[N/A]`. */
  readonly totalBytes: number;
  readonly freeBytes: number;
  readonly driver: string;
}

/** The GPUs of the machine, or why none can be listed. */
export interface GpuProbe {
  /** As `nvidia-smi` lists them, all of the machine. */
  readonly gpus: readonly Gpu[];
  /** An NVIDIA card is on the bus, whether or not a driver runs it. Linux only. */
  readonly cardOnBus: boolean;
  /** `CUDA_VISIBLE_DEVICES`, undefined when not set. */
  readonly visible: string | undefined;
  /** What nvidia-smi said when it failed. */
  readonly problem?: string;
}

const FIELDS = ['name', 'compute_cap', 'memory.total', 'memory.free', 'driver_version'] as const;

/** Asks nvidia-smi for this machine's NVIDIA GPUs. Never throws: what failed is in `problem`. */
export function probeGpus(): GpuProbe {
  const { stdout, stderr, status } = spawnSync(
    'nvidia-smi',
    [`--query-gpu=${FIELDS.join(',')}`, '--format=csv,noheader,nounits'],
    { encoding: 'utf8', timeout: 10_000, windowsHide: true },
  );
  const said = `${stdout}\n${stderr}`.trim().split('\n')[0];
  const problem =
    // null: there is no nvidia-smi, or it did not answer
    status === 0 || status === null || said === 'No devices were found' ? undefined : said;
  return {
    gpus: status === 0 ? parseGpus(stdout) : [],
    cardOnBus: nvidiaOnBus(),
    visible: process.env['CUDA_VISIBLE_DEVICES'],
    problem: problem || undefined,
  };
}

/** Lines of `nvidia-smi --query-gpu … --format=csv,noheader,nounits`, memory in MiB. */
export function parseGpus(csv: string): Gpu[] {
  return csv
    .split('\n')
    .map((line) => line.split(',').map((field) => field.trim()))
    .filter((fields) => fields.length === FIELDS.length)
    .map(([name, capability, total, free, driver]) => ({
      name: name!,
      computeCapability: Number(capability),
      totalBytes: Number(total) * 2 ** 20,
      freeBytes: Number(free) * 2 ** 20,
      driver: driver!,
    }));
}

/** The cards that this process may use, in `nvidia-smi`'s order. */
export function visibleGpus({ gpus, visible }: GpuProbe): readonly Gpu[] {
  if (visible === undefined) return gpus;
  const chosen = visible.split(',').map((word) => word.trim());
  if (chosen.some((word) => !/^\d+$/.test(word)))
    // cards named by UUID: all are listed
    return visible.trim() === '' || visible.trim() === '-1' ? [] : gpus;
  return chosen.map((word) => gpus[Number(word)]).filter((gpu) => gpu !== undefined);
}

function nvidiaOnBus(): boolean {
  const devices = '/sys/bus/pci/devices';
  if (!existsSync(devices)) return false;
  const read = (device: string, file: string): string => {
    try {
      return readFileSync(join(devices, device, file), 'utf8').trim();
    } catch {
      return '';
    }
  };
  return readdirSync(devices).some(
    (device) => read(device, 'vendor') === '0x10de' && read(device, 'class').startsWith('0x03'),
  );
}
