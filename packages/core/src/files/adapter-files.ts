/**
 * Adapters as folders: `adapter_config.json`, the weights and a model card, in Hugging Face PEFT's
 * layout or a method's own.
 */
import { basename, join, resolve } from 'node:path';
import { PeftError } from '@peft/errors';
import { writeFileAtomic, writeFolderAtomic, writeSafetensors } from '@peft/hub';
import { onHost } from '@peft/ops';
import type { Adapter } from '../adapter/adapter.js';
import type { AdapterAbout } from '../method/adapter-file.js';
import type { AdapterFormat, AnyMethod, MethodSpec } from '../method/peft-method.js';
import { adapterCounts } from '../model/adapter-counts.js';
import type { Model } from '../model/model.js';
import { type AdapterCard, adapterCard } from './adapter-card.js';
import { CONFIG_FILE, openWeights, recognisedConfig, specIn } from './adapter-folder.js';
import {
  adapterTensors,
  assignTensors,
  bareAdapter,
  isHeadParameter,
  planTensors,
} from './adapter-tensors.js';
import { packExperts, packsExperts, unpackExperts } from './expert-packing.js';
import { writeInnerAdapters } from './inner-adapters.js';
import { peftFormat } from './peft-format.js';
import { sortedJson } from './sorted-json.js';

/** PEFT's options of how it runs, which say nothing of what it computes. */
const RUN_KEYS = ['runtime_config', 'progressbar', 'runtime_offload_base_weight'];

/** How an adapter is written. */
export interface SaveAdapterOptions
  extends AdapterAbout, Pick<AdapterCard, 'results' | 'language' | 'license'> {
  /** Replace what the folder holds. Default false. */
  readonly overwrite?: boolean;
  /** Write an adapter whose parameters are still those that it was made with. Default false. */
  readonly allowUntrained?: boolean;
  /** Default: the method's own, else PEFT's. */
  readonly format?: AdapterFormat;
}

/** How an adapter's folder is read. */
export interface LoadAdapterOptions {
  /** What to call it. Default: what its file calls it, or `default`. */
  readonly name?: string;
  /** The methods that a file may name. */
  readonly methods: readonly AnyMethod[];
  /** Formats beside PEFT's, adapter-hub's and those of the methods. */
  readonly formats?: readonly AdapterFormat[];
  /**
   * What to attach, where it is known more exactly than the file says (a combination whose parts
   * the file does not name).
   */
  readonly spec?: MethodSpec;
  /** Whether it takes part in training. Default false. */
  readonly isTrainable?: boolean;
}

/** An adapter that stands on the model now, and what its folder said besides. */
export interface LoadedAdapter {
  readonly adapter: Adapter;
  /** Sentences about what the file says and this version does not know. */
  readonly warnings: readonly string[];
}

const ownFormat = (adapter: Adapter): AdapterFormat =>
  adapter.parts.map(({ part }) => part.method.format).find((own) => own !== undefined) ??
  peftFormat;

/**
 * Asks an adapter's format for its config, so that one that no file can describe is refused before
 * it is trained.
 *
 * @param format default: the method's own, else PEFT's
 * @throws PEFT_ADAPTER_UNKNOWN
 * @throws PEFT_FORMAT_UNSUPPORTED the format has no words for where it stands, or for an option.
 */
export function checkSavable(model: Model, adapterName: string, format?: AdapterFormat): void {
  const adapter = model.adapter(adapterName);
  (format ?? ownFormat(adapter)).writeConfig(adapter, {});
}

/**
 * Writes an adapter: all of the folder or none of it.
 *
 * @throws PEFT_ADAPTER_UNKNOWN, PEFT_FOLDER_NOT_EMPTY
 * @throws PEFT_ADAPTER_EMPTY it has no parameters.
 * @throws PEFT_ADAPTER_UNTRAINED none has changed since it was made.
 * @throws PEFT_ADAPTER_NOT_FINITE a value is infinite or no number.
 */
export async function saveAdapter(
  model: Model,
  adapterName: string,
  folder: string,
  options: SaveAdapterOptions = {},
): Promise<void> {
  const adapter = model.adapter(adapterName);
  const parameters = [...adapter.parameters.values()].filter(({ saved }) => saved);
  if (parameters.length === 0)
    throw new PeftError(
      'PEFT_ADAPTER_EMPTY',
      `adapter "${adapterName}" has no parameters to save.`,
    );
  await model.toHost(adapterName);
  if (!options.allowUntrained && !parameters.some((parameter) => parameter.hasChanged())) {
    throw new PeftError(
      'PEFT_ADAPTER_UNTRAINED',
      `adapter "${adapterName}" was never trained: each of its ${parameters.length} parameters is as it was made.`,
      { hint: 'train it first, or pass allowUntrained: true' },
    );
  }
  const format = options.format ?? ownFormat(adapter);
  const tensors = onHost(model.engine, () =>
    packExperts(adapter, format, adapterTensors(model, adapter, format)),
  );
  const config = format.writeConfig(adapter, options);
  const headKeys = new Set(
    parameters
      .filter((parameter) => isHeadParameter(format, model.description, parameter))
      .map((parameter) => format.keyOf(adapter, parameter)),
  );
  const safetensors = (names: readonly string[]) =>
    names.find((name) => name.endsWith('.safetensors'))!;
  const card = adapterCard(adapter, { ...adapterCounts(model.description, [adapter]), ...options });
  await writeFolderAtomic(
    folder,
    async (temporary) => {
      await writeFileAtomic(
        join(temporary, format.configFile ?? CONFIG_FILE),
        sortedJson(config, format.floatKeys),
      );
      await writeSafetensors(
        join(temporary, safetensors(format.weightFiles)),
        tensors.filter(({ name }) => !headKeys.has(name)),
      );
      if (format.head && headKeys.size > 0) {
        await writeFileAtomic(
          join(temporary, format.head.configFile),
          sortedJson(format.head.writeConfig(adapter, options)),
        );
        await writeSafetensors(
          join(temporary, safetensors(format.head.weightFiles)),
          tensors.filter(({ name }) => headKeys.has(name)),
        );
      }
      if (format === peftFormat) await writeInnerAdapters(model, adapter, temporary, options);
      await writeFileAtomic(join(temporary, 'README.md'), card);
    },
    { replace: options.overwrite ?? false },
  );
}

/**
 * Reads an adapter and puts it on the model as the active one; on failure the model is as before.
 *
 * @throws PEFT_ADAPTER_MISSING no such folder, config or weights.
 * @throws PEFT_METHOD_UNKNOWN, PEFT_CONFIG_UNSUPPORTED
 * @throws PEFT_ADAPTER_MISMATCH it is for another model.
 * @throws PEFT_ADAPTER_INCOMPLETE a tensor is missing.
 */
export async function loadAdapter(
  model: Model,
  folder: string,
  options: LoadAdapterOptions,
): Promise<LoadedAdapter> {
  const { format, config } = recognisedConfig(folder, options);
  const file = openWeights(folder, format);
  try {
    const spec =
      options.spec ?? specIn({ format, config, file, folder }, options.methods, model.description);
    const where = basename(resolve(folder));
    const store = packsExperts(spec)
      ? unpackExperts(bareAdapter(model, spec, file, where), format, file)
      : file;
    const plan = planTensors(model, spec, format, store, where);
    const known = new Set([...Object.keys(format.writeConfig(plan.dry, {})), ...RUN_KEYS]);
    const warnings = Object.keys(config)
      .filter((key) => !format.hasOpenConfig && !known.has(key))
      .map(
        (key) =>
          `${where}: adapter_config.json has the unknown option ` +
          `${JSON.stringify(key)}, which is ignored.`,
      );
    const name = options.name ?? plainName(format.adapterName?.(config)) ?? 'default';
    const active = model.activeAdapters;
    const isVector = (parameter: string): boolean =>
      model.description.parameters.some(
        (known) => known.name === parameter && known.use === 'vector',
      );
    const adapter = model.addAdapter(name, spec, {
      strict: false,
      alsoUnfreeze: plan.extra.filter(isVector),
      alsoReplace: plan.extra.filter((parameter) => !isVector(parameter)),
    });
    try {
      onHost(model.engine, () => assignTensors(model, adapter, format, plan, store));
    } catch (error) {
      model.deleteAdapter(name);
      model.setActiveAdapters(...active);
      throw error;
    }
    adapter.isTrainable = options.isTrainable ?? false;
    adapter.source = { format: format.name, config, copies: plan.copies };
    return { adapter, warnings };
  } finally {
    file.close();
  }
}

/** A name that a model takes. */
const plainName = (name: string | undefined): string | undefined =>
  name !== undefined && /^[A-Za-z0-9][\w-]*$/.test(name) ? name : undefined;
