/** The options of X-LoRA, and their words in adapter_config.json. */
import { optionTable, type CommonConfig, type PeftConfigContext } from '@peft/core';
import { check, PeftError, show } from '@peft/errors';
import type { LoraConfig } from '../lora-config.js';

/** Options of X-LoRA. */
export interface XloraConfig {
  /**
   * The LoRA adapters: folders as PEFT lays them out, or options of new ones, which train along
   * (`trainableAdapters`).
   */
  readonly adapters: readonly (string | (Partial<LoraConfig> & CommonConfig))[];
  /** Where relative folders begin, and where a folder of an adapter's number counts first. */
  readonly folder?: string;
  /** Weights of a token's adapters come from a softmax over them. Default true. */
  readonly softmax: boolean;
  /** T, by which logits are divided before that softmax. Default 1. */
  readonly temperature: number;
  /** k: adapters of a token; the others' weights are 0. Default: all. */
  readonly topK?: number;
  /** A softmax over the weights that are not 0, behind the choice of k. Default false. */
  readonly topKSoftmax: boolean;
  /** Each layer has weights of its own. Default false: all have the same. */
  readonly layerwise: boolean;
  /** Linear layers of the classifier. Default 1. */
  readonly depth: number;
  /** Width between them. Default 2048. */
  readonly width: number;
  /** Share of what is between them that training drops. Default 0.2. */
  readonly dropout: number;
  /** The adapters train, too. Default false. */
  readonly trainableAdapters: boolean;
  /** The weight of each adapter in the pass ahead, which the classifier reads. Default 0. */
  readonly aheadWeight: number;
  /** What all weights are multiplied with. Default 1. */
  readonly strength: number;
}

const OWNER = 'xlora';
const table = optionTable<Omit<XloraConfig, 'folder'>>(
  OWNER,
  {
    adapters: { default: [], is: areAdapters, peft: 'adapters' },
    softmax: { default: true, is: 'boolean', peft: 'enable_softmax' },
    temperature: { default: 1, is: 'positive', peft: 'softmax_temperature' },
    topK: { default: undefined, is: 'positiveInteger', peft: 'top_k_lora' },
    topKSoftmax: { default: false, is: 'boolean', peft: 'enable_softmax_topk' },
    layerwise: { default: false, is: 'boolean', peft: 'layerwise_scalings' },
    depth: { default: 1, is: 'positiveInteger', peft: 'xlora_depth' },
    width: { default: 2048, is: 'positiveInteger', peft: 'xlora_size' },
    dropout: { default: 0.2, is: 'probability', peft: 'xlora_dropout_p' },
    trainableAdapters: { default: false, is: 'boolean', peft: 'use_trainable_adapters' },
    aheadWeight: { default: 0, is: 'finite', peft: 'scaling_pass_value' },
    strength: { default: 1, is: 'finite', peft: 'global_scaling_weight' },
  },
  { refuse: refuseContradictions },
);

/** Its options for documentation. */
export const { options } = table;

/** @throws PEFT_CONFIG_INVALID, PEFT_CONFIG_UNKNOWN_KEY */
export function parseXloraConfig({ folder, ...input }: Partial<XloraConfig>): XloraConfig {
  const config = table.parseConfig(input);
  if (folder !== undefined) check.string(OWNER, 'folder', folder);
  return folder === undefined ? config : Object.freeze({ ...config, folder });
}

/** PEFT numbers the adapters, whatever they are called. */
export const toPeftXlora = (
  config: XloraConfig,
  context: PeftConfigContext,
): Record<string, unknown> => ({
  ...table.toPeftConfig(config, context),
  adapters: Object.fromEntries(
    config.adapters.map((adapter, n) => [n, typeof adapter === 'string' ? adapter : String(n)]),
  ),
  hidden_size: context.description.hiddenSize,
  ...savedModules(context),
});

/**
 * PEFT's config has no word for modules that train whole, which a classification's head is; its
 * readers let the key pass with a warning.
 */
function savedModules({ parameters }: PeftConfigContext): { modules_to_save?: readonly string[] } {
  const modules = [...parameters.values()]
    .filter(({ origin, method }) => origin === 'unfrozen' && method !== 'file')
    .map(({ name }) => name.slice(0, name.lastIndexOf('.')));
  return modules.length > 0 ? { modules_to_save: [...new Set(modules)] } : {};
}

/**
 * @param folder where adapter_config.json lies
 * @throws PEFT_CONFIG_UNSUPPORTED for adapters of other names than 0, 1 …, with which PEFT fails, too
 */
export function fromPeftXlora(
  json: Readonly<Record<string, unknown>>,
  folder: string | undefined,
): Partial<XloraConfig> {
  const { adapters, ...config } = table.fromPeftConfig(json);
  const named = (adapters ?? {}) as Readonly<Record<string, string>>;
  const count = Object.keys(named).length;
  const ordered = Array.from({ length: count }, (_, n) => named[n]);
  if (ordered.some((path) => typeof path !== 'string'))
    throw new PeftError(
      'PEFT_CONFIG_UNSUPPORTED',
      `${OWNER}: the adapters of adapter_config.json are named ${Object.keys(named).join(', ')}.`,
      { hint: 'name them 0, 1 and so on, each with its folder, as PEFT itself needs them' },
    );
  return { ...config, adapters: ordered as string[], ...(folder === undefined ? {} : { folder }) };
}

function areAdapters(owner: string, field: string, value: unknown): void {
  const isOne = (each: unknown): boolean =>
    (typeof each === 'string' && each !== '') ||
    (typeof each === 'object' && each !== null && !Array.isArray(each));
  if (Array.isArray(value) && value.length > 0 && value.every(isOne)) return;
  throw new PeftError(
    'PEFT_CONFIG_INVALID',
    `${owner}: ${field} must be a list of folders of LoRA adapters, or of their options, got ${show(value)}.`,
    { hint: 'it needs one at least' },
  );
}

/** Starts of LoRA with B = 0. */
const ZERO_STARTS: readonly unknown[] = [undefined, 'default', 'gaussian'];

function refuseContradictions({ adapters, topK, trainableAdapters }: XloraConfig): void {
  const idle = adapters.findIndex(
    (given) => typeof given !== 'string' && ZERO_STARTS.includes(given.init),
  );
  if (idle >= 0 && !trainableAdapters)
    throw new PeftError(
      'PEFT_CONFIG_INVALID',
      `${OWNER}: adapter ${idle} is new and changes nothing, and the adapters do not train.`,
      { hint: 'set trainableAdapters, or name the folders of adapters that were trained' },
    );
  if (topK === undefined || topK <= adapters.length) return;
  throw new PeftError(
    'PEFT_CONFIG_INVALID',
    `${OWNER}: topK is ${topK}, and there are ${adapters.length} adapters to choose from.`,
    { hint: 'ask for fewer, or give more adapters' },
  );
}
