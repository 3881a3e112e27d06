/** A device to compute with. */
import { PeftError } from '@peft/errors';
import { DeviceFailure } from '../gpu/device-failure.js';
import { withTurns } from '../gpu/turns.js';
import { describeAdapter, type AdapterDescription } from './adapters.js';

export interface OpenedDevice {
  readonly device: GPUDevice;
  readonly failure: DeviceFailure;
  readonly adapter: AdapterDescription;
}

/** Limits that are asked for as high as the adapter has them. */
const LIMITS = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'maxStorageBuffersPerShaderStage',
  'maxComputeWorkgroupStorageSize',
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupSizeX',
] as const;

/**
 * The fastest adapter's device with the adapter's limits; no kernel needs a feature.
 * @throws PEFT_WEBGPU_NO_ADAPTER where no driver offers one
 */
export async function openDevice(gpu: GPU): Promise<OpenedDevice> {
  const adapter = await withTurns(() =>
    gpu.requestAdapter({ powerPreference: 'high-performance' }),
  );
  if (!adapter)
    throw new PeftError('PEFT_WEBGPU_NO_ADAPTER', 'webgpu: no driver offers an adapter here.', {
      hint:
        'on Linux install the Vulkan loader and the driver of the card (libvulkan1 and, of Debian, ' +
        'mesa-vulkan-drivers or NVIDIA’s); a software driver can be named by VK_DRIVER_FILES',
    });
  const device = await withTurns(() =>
    adapter.requestDevice({
      requiredLimits: Object.fromEntries(LIMITS.map((name) => [name, adapter.limits[name]])),
    }),
  );
  return { device, failure: new DeviceFailure(device), adapter: describeAdapter(adapter) };
}
