/** A loaded adapter is written as it was read. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadAdapter, saveAdapter, type Model } from '@peft/core';
import { openSafetensors, readFloat32 } from '@peft/hub';
import { methods } from '../../methods.js';
import { withModel } from '../../with-model.js';
import { type Check } from './adapter-case.js';

/** A loaded adapter is written with the same keys, shapes, values and config. */
export async function checkWritten({ folder, comparison, open }: Check): Promise<void> {
  await withModel(open, async (model) => {
    await loadAdapter(model, folder, { methods });
    const original = readAll(join(folder, 'adapter_model.safetensors'));
    await withSaved(model, (written, place) => {
      comparison.equal('keys', [...written.keys()].sort(), [...original.keys()].sort());
      for (const [key, values] of original)
        comparison.equal(
          `values of ${key}`,
          written.get(key)?.every((value, i) => value === values[i]),
          true,
        );
      comparison.equal('adapter_config.json', comparableConfig(place), comparableConfig(folder));
    });
  });
}

export async function withSaved(
  model: Model,
  body: (tensors: Map<string, Float32Array>, folder: string) => void,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'peft-golden-'));
  try {
    await saveAdapter(model, 'default', folder, { allowUntrained: true });
    body(readAll(join(folder, 'adapter_model.safetensors')), folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function readAll(path: string): Map<string, Float32Array> {
  const store = openSafetensors(path);
  try {
    return new Map(store.names().map((name) => [name, readFloat32(store.get(name)!)]));
  } finally {
    store.close();
  }
}

/** Sets have no order in PEFT. */
function comparableConfig(folder: string): unknown {
  const config = JSON.parse(readFileSync(join(folder, 'adapter_config.json'), 'utf8')) as Record<
    string,
    unknown
  >;
  const sets = ['target_modules', 'feedforward_modules', 'exclude_modules'];
  return Object.entries(config)
    .map(([key, value]) => [
      key,
      sets.includes(key) && Array.isArray(value) ? [...(value as unknown[])].sort() : value,
    ])
    .sort(([a], [b]) => ((a as string) < (b as string) ? -1 : 1));
}
