/** What an adapter's folder says before it stands on a model: its format, its config, its spec. */
import { statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { PeftError } from '@peft/errors';
import { openCheckpoint, readJsonObject, type JsonObject, type TensorStore } from '@peft/hub';
import type { ModelDescription } from '../description/model-description.js';
import type { AdapterFormat, AnyMethod, MethodSpec } from '../method/peft-method.js';
import { adapterHubFormat } from './adapter-hub-format.js';
import { peftFormat } from './peft-format.js';

export const CONFIG_FILE = 'adapter_config.json';

/** What a folder may be of. */
export interface AdapterKinds {
  /** The methods that a file may name. */
  readonly methods: readonly AnyMethod[];
  /** Formats beside PEFT's, adapter-hub's and those of the methods. */
  readonly formats?: readonly AdapterFormat[];
}

/** The config of a folder, and whose it is. */
export interface RecognisedConfig {
  readonly format: AdapterFormat;
  readonly config: JsonObject;
}

/** @throws PEFT_ADAPTER_MISSING, PEFT_METHOD_UNKNOWN */
export function recognisedConfig(
  folder: string,
  { methods, formats: others = [] }: AdapterKinds,
): RecognisedConfig {
  const formats = [
    ...new Set([
      peftFormat,
      adapterHubFormat,
      ...others,
      ...methods.map(({ format }) => format).filter((format) => format !== undefined),
    ]),
  ];
  const configs = formats.map((candidate) =>
    readJsonObject(join(folder, candidate.configFile ?? CONFIG_FILE)),
  );
  if (configs.every((found) => found === undefined))
    throw new PeftError(
      'PEFT_ADAPTER_MISSING',
      `${resolve(folder)} holds no adapter_config.json.`,
      {
        hint: 'an adapter folder has it beside its weights; PEFT puts adapters with names of their own into subfolders',
      },
    );
  const at = formats.findIndex((candidate, i) => configs[i] && candidate.recognises(configs[i]));
  const [format, config] = [formats[at], configs[at]];
  if (!format || !config)
    throw new PeftError(
      'PEFT_METHOD_UNKNOWN',
      `${folder}: adapter_config.json is of none of the formats at hand (${formats.map(({ name }) => name).join(', ')}).`,
      { hint: "pass the method's package to loadAdapter" },
    );
  return { format, config };
}

/**
 * What stands in a folder, without a model to put it on.
 * @param description of the model that it is for, with its head
 * @throws PEFT_ADAPTER_MISSING, PEFT_METHOD_UNKNOWN, PEFT_CONFIG_UNSUPPORTED
 */
export function readAdapterSpec(
  folder: string,
  description: ModelDescription,
  kinds: AdapterKinds,
): MethodSpec {
  const recognised = recognisedConfig(folder, kinds);
  const file = openWeights(folder, recognised.format);
  try {
    return specIn({ ...recognised, file, folder }, kinds.methods, description);
  } finally {
    file.close();
  }
}

/** The spec of an opened folder. */
export function specIn(
  {
    format,
    config,
    file,
    folder,
  }: RecognisedConfig & { readonly file: TensorStore; readonly folder: string },
  methods: readonly AnyMethod[],
  description: ModelDescription,
): MethodSpec {
  const keys = file.names();
  const shapes = new Map(keys.map((key) => [key, file.get(key)!.shape]));
  return format.readSpec(config, methods, description, keys, shapes, folder);
}

/**
 * The weights, and those of the head where the format stores them apart and the folder has them.
 */
export function openWeights(folder: string, format: AdapterFormat): TensorStore {
  const find = (names: readonly string[]) =>
    names
      .map((name) => join(folder, name))
      .find((path) => statSync(path, { throwIfNoEntry: false })?.isFile());
  const file = find(format.weightFiles);
  if (!file)
    throw new PeftError(
      'PEFT_ADAPTER_MISSING',
      `${resolve(folder)} holds none of ${format.weightFiles.join(', ')}.`,
      { hint: 'fetch or write the adapter again' },
    );
  const store = openCheckpoint(file);
  const headFile = format.head && find(format.head.weightFiles);
  if (!headFile) return store;
  try {
    return joined(store, openCheckpoint(headFile));
  } catch (error) {
    store.close();
    throw error;
  }
}

function joined(first: TensorStore, second: TensorStore): TensorStore {
  return {
    names: () => [...first.names(), ...second.names()],
    get: (name) => first.get(name) ?? second.get(name),
    metadata: first.metadata,
    close: () => {
      first.close();
      second.close();
    },
  };
}
