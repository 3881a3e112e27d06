/** Engines by name, loaded when asked for. All compute in float32. */
import type { Engine } from '@peft/ops';
import { useSoftwareDriver } from '../test-setup/software-vulkan.js';

const ENGINES: Readonly<Record<string, () => Promise<Engine>>> = {
  portable: async () => (await import('@peft/portable')).createPortableEngine(),
  native: async () => (await import('@peft/native')).createNativeEngine({ precision: 'float32' }),
  tensorflow: async () =>
    (await import('@peft/tensorflow')).createTensorflowEngine({ precision: 'float32' }),
  webgpu: async () => {
    useSoftwareDriver(); // where there is no other
    return (await import('@peft/webgpu')).createWebgpuEngine();
  },
};

export const ENGINE_NAMES: readonly string[] = Object.keys(ENGINES);

/** The engine of that name, active; the caller disposes it. */
export async function openEngine(name: string): Promise<Engine> {
  const make = ENGINES[name];
  if (!make) throw new Error(`--engine must be one of ${ENGINE_NAMES.join(', ')}, got ${name}`);
  const engine = await make();
  await engine.activate();
  return engine;
}
