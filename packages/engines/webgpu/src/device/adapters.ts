/** Which adapters there are, and what they can do. */
import { withTurns } from '../gpu/turns.js';
import { findGpu } from './find-gpu.js';

/** An adapter, for people and for choices. */
export interface AdapterDescription {
  /** `NVIDIA H200`, `Apple M2`, `SwiftShader driver`. */
  readonly name: string;
  readonly vendor: string;
  readonly architecture: string;
  /** It computes on the processor, not on a graphics card. */
  readonly isSoftware: boolean;
  readonly features: readonly string[];
  readonly limits: {
    /** Larger weights are split. */
    readonly maxBindingBytes: number;
    readonly maxBufferBytes: number;
    readonly maxWorkgroupBytes: number;
    readonly maxWorkgroupThreads: number;
  };
}

export function describeAdapter({ info, features, limits }: GPUAdapter): AdapterDescription {
  const { vendor, architecture, device, description } = info;
  return {
    name: [description, device, architecture, vendor].find((text) => text !== '') ?? 'unnamed',
    vendor,
    architecture,
    isSoftware:
      info.isFallbackAdapter ||
      /swiftshader|llvmpipe|lavapipe/i.test(`${device} ${description} ${architecture}`),
    features: [...features].sort(),
    limits: {
      maxBindingBytes: limits.maxStorageBufferBindingSize,
      maxBufferBytes: limits.maxBufferSize,
      maxWorkgroupBytes: limits.maxComputeWorkgroupStorageSize,
      maxWorkgroupThreads: limits.maxComputeInvocationsPerWorkgroup,
    },
  };
}

/**
 * The adapters that WebGPU offers here, the fastest first; none where no driver is found.
 * @throws PEFT_WEBGPU_MISSING
 */
export async function listAdapters(gpu?: GPU): Promise<readonly AdapterDescription[]> {
  const from = gpu ?? (await findGpu());
  const found: AdapterDescription[] = [];
  for (const options of [
    { powerPreference: 'high-performance' },
    { powerPreference: 'low-power' },
    { forceFallbackAdapter: true },
  ] as const) {
    const adapter = await withTurns(() => from.requestAdapter(options));
    if (!adapter) continue;
    const description = describeAdapter(adapter);
    if (!found.some((each) => JSON.stringify(each) === JSON.stringify(description)))
      found.push(description);
  }
  return found;
}
