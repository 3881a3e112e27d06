/** The LoRA adapters that X-LoRA weighs: from their folders, or new ones. */
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import {
  attachAdapter,
  holdsAdapter,
  readAdapterFolder,
  specOf,
  type Adapter,
  type AttachContext,
  type InnerAdapter,
  type ModelDescription,
  type SiteHandle,
} from '@peft/core';
import { PeftError } from '@peft/errors';
import { matricesAt } from '../combinations/low-rank-sites.js';
import { lora } from '../lora.js';
import type { LoraConfig } from '../lora-config.js';
import { makeEmbeddingMatrices } from '../variants/lora-embedding.js';
import { makeMatrices, type LoraMatrices } from '../variants/lora-linear.js';
import type { XloraConfig } from './xlora-config.js';

/** One of the adapters. */
export interface Expert {
  /** It, without values. */
  readonly adapter: Adapter;
  readonly config: LoraConfig;
  /** Values of one of its parameters; undefined for a new adapter, which has a start of its own. */
  readonly values?: (parameter: string) => Float32Array;
}

/** Starts that leave the base weight as it is. */
const STARTS = ['default', 'gaussian', 'random', 'orthogonal'];

const known = new WeakMap<XloraConfig, WeakMap<ModelDescription, readonly Expert[]>>();

/**
 * The adapters of a config on a model.
 * @throws PEFT_CONFIG_UNSUPPORTED for one that is more than plain LoRA on linear layers and embeddings;
 *   PEFT_METHOD_UNSUPPORTED on an encoder-decoder; what `readAdapterFolder` throws
 */
export function expertsOf(config: XloraConfig, description: ModelDescription): readonly Expert[] {
  const { layers, modelType } = description;
  if (layers.encoder > 0 && layers.decoder > 0)
    throw new PeftError(
      'PEFT_METHOD_UNSUPPORTED',
      `xlora: the classifier reads one stack of blocks, and ${modelType} has two.`,
      { hint: 'choose an encoder or a decoder, as in PEFT, or another method' },
    );
  const byModel = known.get(config) ?? new WeakMap<ModelDescription, readonly Expert[]>();
  known.set(config, byModel);
  const experts =
    byModel.get(description) ??
    config.adapters.map((_, number) => expertOf(config, number, description));
  byModel.set(description, experts);
  return experts;
}

function expertOf(config: XloraConfig, number: number, description: ModelDescription): Expert {
  const given = config.adapters[number]!;
  const place = typeof given === 'string' ? placeOf(config, number, given) : undefined;
  const read = place === undefined ? undefined : readAdapterFolder(place, [lora], description);
  const adapter = read?.adapter ?? freshAdapter(given as object, description);
  const own = adapter.spec.parts[0]!.config as LoraConfig;
  refuseMore(adapter, own, place ?? `adapter ${number}`);
  return { adapter, config: own, ...(read && { values: read.values }) };
}

function freshAdapter(given: object, description: ModelDescription): Adapter {
  const spec = specOf(lora, { ...given, modulesToSave: [] });
  return attachAdapter('new', spec, description, undefined);
}

/** Where an adapter lies: beside the config under its number, where that is whole, else where it says. */
function placeOf({ folder }: XloraConfig, number: number, given: string): string {
  const inside = folder === undefined ? undefined : join(folder, String(number));
  if (inside !== undefined && holdsAdapter(inside)) return inside;
  const beside = folder === undefined ? undefined : resolve(folder, given);
  return beside !== undefined && existsSync(beside) ? beside : resolve(given);
}

/** @throws PEFT_CONFIG_UNSUPPORTED */
function refuseMore(adapter: Adapter, config: LoraConfig, where: string): void {
  const site = adapter.wrappedSites.find(
    (each) => (each.kind !== 'linear' && each.kind !== 'embedding') || !matricesAt(adapter, each),
  );
  const own = [...adapter.parameters.values()].find(({ origin }) => origin === 'unfrozen');
  const start = typeof config.init === 'string' ? config.init : config.init.name;
  const found =
    site?.path ??
    own?.name ??
    (STARTS.includes(start) ? undefined : `init '${start}'`) ??
    (config.layerReplication && 'layerReplication');
  if (found === undefined) return;
  throw new PeftError(
    'PEFT_CONFIG_UNSUPPORTED',
    `xlora: ${where} is more than plain LoRA: ${found}.`,
    {
      hint: 'bring it to plain LoRA first, without biases and modulesToSave (peft adapters combine)',
    },
  );
}

/** A and B of an adapter at a site, as parameters of the one that weighs it. */
export function matricesIn(
  site: SiteHandle<'linear'> | SiteHandle<'embedding'>,
  number: number,
  { config, values }: Expert,
  { trainableAdapters }: XloraConfig,
  context: AttachContext,
): LoraMatrices {
  const inner: AttachContext = {
    ...context,
    isStrict: false,
    param: (name, shape, init, options) =>
      context.param(
        `${innerName(number)}.${name}`,
        shape,
        values ? () => values(`${site.path}.${name}`) : init,
        { ...options, trainable: trainableAdapters && (options?.trainable ?? true), saved: false },
      ),
  };
  return site.kind === 'linear'
    ? makeMatrices(site, config, inner)
    : makeEmbeddingMatrices(site, config, inner);
}

const innerName = (number: number): string => `xlora_${number}`;

/** What its file keeps in folders of their own. */
export const innerAdapters = (
  config: XloraConfig,
  description: ModelDescription,
): readonly InnerAdapter[] =>
  expertsOf(config, description).map(({ adapter }, number) => ({
    folder: String(number),
    adapter,
    owner: ({ name, site }) => `${site!.path}.${innerName(number)}${name.slice(site!.path.length)}`,
  }));
