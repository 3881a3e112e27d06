/** A loaded adapter is written as it was read. */
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { adapterHubFormat, loadAdapter, saveAdapter, type Adapter, type Model } from '@peft/core';
import { openSafetensors, readFloat32 } from '@peft/hub';
import { type Comparison } from '../../comparison.js';
import { methods } from '../../methods.js';
import { withModel } from '../../with-model.js';
import { type Check } from './bottleneck-case.js';

/**
 * A loaded adapter is written with the same keys, shapes, values and config, also one that was read
 * from the library's own file.
 */
export async function checkWritten({ folder, json, comparison, open }: Check): Promise<void> {
  const folders = [...json.adapters, ...(json.kind === 'fusion' ? ['fusion'] : [])];
  for (const name of folders) {
    await withModel(open, async (model) => {
      const source = join(folder, name);
      const { adapter, warnings } = await loadAdapter(model, source, { name, methods });
      comparison.equal(`warnings of ${name}`, warnings, []);
      await withSaved(model, name, (written) => {
        for (const file of ['adapter.safetensors', 'model_adapter_fusion.safetensors'].filter(
          (each) => existsSync(join(source, each)),
        )) {
          comparison.equal(
            `${name}/${file}`,
            fingerprints(join(written, file)),
            fingerprints(join(source, file)),
          );
        }
        for (const file of ['adapter_config.json', 'adapter_fusion_config.json'].filter((each) =>
          existsSync(join(source, each)),
        )) {
          comparison.equal(
            `${name}/${file}`,
            readFileSync(join(written, file), 'utf8'),
            readFileSync(join(source, file), 'utf8'),
          );
        }
      });
      adapter.source = undefined;
      await withSaved(
        model,
        name,
        (written) => {
          const file = ['adapter_config.json', 'adapter_fusion_config.json'].find((each) =>
            existsSync(join(source, each)),
          )!;
          comparison.equal(
            `${name}: a new ${file}`,
            sortedJson(join(written, file)),
            sortedJson(join(source, file)),
          );
        },
        json.base,
      );
      if (existsSync(join(source, 'pytorch_adapter.bin')))
        await compareTorchFile(comparison, adapter, source, open);
    });
  }
}

/** The library's own file means the same. */
async function compareTorchFile(
  comparison: Comparison,
  adapter: Adapter,
  source: string,
  open: () => Model,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'peft-golden-'));
  try {
    for (const file of ['adapter_config.json', 'pytorch_adapter.bin'])
      copyFileSync(join(source, file), join(folder, file));
    await withModel(open, async (model) => {
      const { adapter: other } = await loadAdapter(model, folder, { methods });
      for (const [name, { value }] of adapter.parameters)
        comparison.equal(
          `${name} of pytorch_adapter.bin`,
          [...other.parameters.get(name)!.value.dataSync()],
          [...value.dataSync()],
        );
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function withSaved(
  model: Model,
  name: string,
  body: (folder: string) => void,
  baseModel?: string,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'peft-golden-'));
  try {
    await saveAdapter(model, name, folder, {
      allowUntrained: true,
      ...(baseModel !== undefined && { baseModel }),
      ...(adapterHubOnly(model, name) && { format: adapterHubFormat }),
    });
    body(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Methods that PEFT has, too, are written in its layout unless asked otherwise. */
const adapterHubOnly = (model: Model, name: string): boolean =>
  model.adapter(name).parts.every(({ part }) => part.method.format === undefined);

/** Keys with shapes and values, in no order. */
function fingerprints(path: string): unknown {
  const store = openSafetensors(path);
  try {
    return store
      .names()
      .sort()
      .map((name) => {
        const { shape, dtype } = store.get(name)!;
        const values = readFloat32(store.get(name)!);
        return [
          name,
          dtype,
          shape,
          values.reduce((sum, value, i) => sum + value * ((i % 97) + 1), 0),
        ];
      });
  } finally {
    store.close();
  }
}

const sortedJson = (path: string): unknown =>
  Object.entries(JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>).sort(
    ([a], [b]) => (a < b ? -1 : 1),
  );
