/** Adapters inside the folder of one that consists of them: written with it, and read one by one. */
import { existsSync } from 'node:fs';
import { basename, join } from 'node:path';
import { PeftError } from '@peft/errors';
import {
  readFloat32,
  readJsonObject,
  writeFileAtomic,
  writeSafetensors,
  type TensorStore,
} from '@peft/hub';
import { onHost } from '@peft/ops';
import type { Adapter } from '../adapter/adapter.js';
import { attachAdapter } from '../adapter/attach-adapter.js';
import type { ModelDescription } from '../description/model-description.js';
import type { AdapterAbout } from '../method/adapter-file.js';
import type { AnyMethod } from '../method/peft-method.js';
import type { Model } from '../model/model.js';
import { CONFIG_FILE, openWeights, specIn } from './adapter-folder.js';
import { valuesOf, variants } from './adapter-tensors.js';
import { peftFormat } from './peft-format.js';
import { sortedJson } from './sorted-json.js';

/** Writes what an adapter's methods consist of into folders inside of its own. */
export async function writeInnerAdapters(
  model: Model,
  adapter: Adapter,
  folder: string,
  about: AdapterAbout,
): Promise<void> {
  const { description, parameters, shared } = adapter;
  const inner = adapter.parts.flatMap(
    ({ part: { method, config }, sites }) =>
      method.innerAdapters?.(config, { description, sites, parameters, shared }) ?? [],
  );
  for (const { folder: name, adapter: own, owner } of inner) {
    const saved = [...own.parameters.values()].filter((parameter) => parameter.saved);
    const tensors = onHost(model.engine, () =>
      saved.map((parameter) => ({
        name: peftFormat.keyOf(own, parameter),
        dtype: 'F32' as const,
        shape: parameter.shape,
        data: valuesOf(parameters.get(owner(parameter))!.value),
      })),
    );
    const config = sortedJson(peftFormat.writeConfig(own, about));
    await writeFileAtomic(join(folder, name, CONFIG_FILE), config);
    await writeSafetensors(join(folder, name, peftFormat.weightFiles[0]!), tensors);
  }
}

/**
 * Whether a folder holds an adapter of its own. What PEFT 0.21 writes into the folders inside of an
 * X-LoRA's is none: its keys name the classifier and the base model, and have lost numbers of blocks.
 */
export function holdsAdapter(folder: string): boolean {
  if (!existsSync(join(folder, CONFIG_FILE))) return false;
  const store = openWeights(folder, peftFormat);
  try {
    return !store.names().some((key) => /^base_model\.(lora_model|internal_xlora)/.test(key));
  } finally {
    store.close();
  }
}

/** An adapter in a folder, before it stands on a model. */
export interface AdapterInFolder {
  /** It, without values. */
  readonly adapter: Adapter;
  /** Values of one of its parameters, by name. */
  values(parameter: string): Float32Array;
}

/**
 * Reads an adapter in PEFT's layout for another one that consists of it. Its values stay on disk until
 * they are asked for.
 *
 * @throws PEFT_ADAPTER_MISSING no such folder, config or weights; PEFT_METHOD_UNKNOWN and what the
 *   method's reader throws
 * @throws PEFT_ADAPTER_MISMATCH it holds more than its method makes on such a model, or other shapes;
 *   PEFT_ADAPTER_INCOMPLETE
 */
export function readAdapterFolder(
  folder: string,
  methods: readonly AnyMethod[],
  description: ModelDescription,
): AdapterInFolder {
  const config = readJsonObject(join(folder, CONFIG_FILE));
  if (!config)
    throw new PeftError('PEFT_ADAPTER_MISSING', `${folder} holds no ${CONFIG_FILE}.`, {
      hint: 'name the folder of an adapter that Hugging Face PEFT or this library saved',
    });
  const opened = <T>(body: (store: TensorStore) => T): T => {
    const store = openWeights(folder, peftFormat);
    try {
      return body(store);
    } finally {
      store.close();
    }
  };
  return opened((store) => {
    const keys = store.names();
    const shapes = new Map(keys.map((key) => [key, store.get(key)!.shape]));
    const spec = specIn({ format: peftFormat, config, file: store, folder }, methods, description);
    const adapter = attachAdapter('file', spec, description, undefined, { strict: false });
    adapter.source = { format: peftFormat.name, config, copies: new Map() };
    const places = placesOf(adapter, shapes, folder);
    return {
      adapter,
      values: (parameter) =>
        opened((weights) => Float32Array.from(readFloat32(weights.get(places.get(parameter)!)!))),
    };
  });
}

/** Keys by the parameters that they hold. */
function placesOf(
  adapter: Adapter,
  shapes: ReadonlyMap<string, readonly number[]>,
  folder: string,
): ReadonlyMap<string, string> {
  const { basePrefix, modelType } = adapter.description;
  const keys = [...shapes.keys()];
  const places = new Map<string, string>();
  const where = basename(folder);
  for (const [key, shape] of shapes) {
    const read = peftFormat.readKey(key, { adapter, keys });
    const found = variants(read?.name ?? key, basePrefix)
      .map((name) => adapter.parameters.get(name))
      .find((parameter) => parameter !== undefined);
    if (!found || found.shape.join() !== shape.join())
      throw new PeftError(
        'PEFT_ADAPTER_MISMATCH',
        `${where}: ${key} [${shape.join(', ')}] ` +
          (found
            ? `should be of the shape [${found.shape.join(', ')}] on this ${modelType}.`
            : `has no place in its method on this ${modelType}.`),
        { hint: 'it was made for another model, or trained more than the method makes' },
      );
    places.set(found.name, key);
  }
  const missing = [...adapter.parameters.values()].find(
    ({ saved, name }) => saved && !places.has(name),
  );
  if (missing)
    throw new PeftError('PEFT_ADAPTER_INCOMPLETE', `${where} lacks ${missing.name}.`, {
      hint: 'the file is not whole, or its config is not its own',
    });
  return places;
}
