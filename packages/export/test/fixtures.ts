/** Tiny checkpoints and adapters that Python made. */
import { fileURLToPath } from 'node:url';
import { openSafetensors, readFloat32 } from '@peft/hub';

const path = (kind: string, name: string): string =>
  fileURLToPath(new URL(`../../testing/fixtures/${kind}/${name}`, import.meta.url));

export const fixtureModel = (name: string): string => path('models', name);
/** Saved by transformers with bitsandbytes. */
export const fixtureQuantized = (name: string): string => path('quant', name);
export const fixtureAdapter = (name: string): string => path('adapters', name);
/** In the layout of the adapters library. */
export const fixtureHubAdapter = (name: string): string => path('bottleneck', `${name}/demo`);

/** A tensor that Python computed for an adapter. */
export function expectedTensor(adapter: string, name: string): Float32Array {
  const store = openSafetensors(path('adapters', `${adapter}/expected.safetensors`));
  try {
    return readFloat32(store.get(name)!);
  } finally {
    store.close();
  }
}
