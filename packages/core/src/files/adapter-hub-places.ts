/** Where adapter-hub's modules live: path of a site → module path. */
import { PeftError } from '@peft/errors';
import type { ModelDescription } from '../description/model-description.js';
import type { Site } from '../description/sites.js';

const BLOCK_MODULES: Readonly<Record<string, string>> = {
  attention: 'attention_adapters',
  ffn: 'output_adapters',
  'cross-attention': 'cross_attention_adapters',
};

/**
 * The module that holds what a method keeps for a site, with a dot behind it.
 * @param word the first word of the key: `adapters`, `loras`, `prefix_tunings` …;
 * @param site undefined for what belongs to the whole model.
 * @throws PEFT_FORMAT_UNSUPPORTED for a word of no known place
 */
export function hubPlace(
  word: string,
  site: Site | undefined,
  description: ModelDescription,
): string {
  const base = hubBase(description);
  switch (word) {
    case 'adapters':
    case 'adapter_fusion_layer':
      if (site?.kind !== 'sublayer') break;
      return description.conventions?.adapterHub?.hasSublayerModules
        ? `${site.path}.`
        : `${blockOf(site.path)}.${BLOCK_MODULES[site.branch]}.`;
    case 'loras':
      if (site?.kind !== 'linear') break;
      return `${site.path}.`;
    case 'refts':
      if (site?.kind !== 'sublayer') break;
      return `${blockOf(site.path)}.reft_layer.`;
    case 'prefix_gates':
      if (site?.kind !== 'attention') break;
      return `${site.path}.prefix_tuning.`;
    case 'prefix_tunings':
      return `${base}prefix_tuning.`;
    case 'prompt_tunings':
      return `${base}prompt_tuning.`;
    case 'invertible_adapters':
      return description.layers.encoder > 0 && description.layers.decoder > 0
        ? `${base}encoder.`
        : base;
    case 'shared_parameters':
      return base;
  }
  throw new PeftError(
    'PEFT_FORMAT_UNSUPPORTED',
    `adapter-hub: its files have no place for "${word}"${site ? ` at ${site.path}` : ''}.`,
    { hint: "save it in PEFT's layout" },
  );
}

/** The bare model's name in a model with a head, with a dot: `bert.`, or nothing. */
export function hubBase({ basePrefix, parameters }: ModelDescription): string {
  return basePrefix && parameters.some(({ name }) => name.startsWith(`${basePrefix}.`))
    ? `${basePrefix}.`
    : '';
}

/** `model.layers.3.mlp` → `model.layers.3` */
const blockOf = (path: string): string => /^.*?\.\d+(?=\.)/.exec(path)?.[0] ?? path;

/** Name of the prefix network that makes the keys and values of an attention's stack. */
export function hubPrefixName(
  stack: 'encoder' | 'decoder' | 'cross',
  { layers, conventions }: ModelDescription,
): string {
  if (stack === 'cross') return 'cross_prefix';
  return stack === 'encoder' && layers.decoder > 0
    ? 'encoder_prefix'
    : (conventions?.adapterHub?.prefixName ?? 'self_prefix');
}

/** What adapter-hub calls a linear map: its `location`, and the matrix of an attention. */
export interface HubLinear {
  readonly location: 'selfattn' | 'intermediate' | 'output';
  readonly matrix?: 'q' | 'k' | 'v';
  readonly layer: number;
}

/** Undefined where adapter-hub puts no LoRA. */
export function hubLinear(
  site: Site,
  { conventions, layers, sites }: ModelDescription,
): HubLinear | undefined {
  if (site.kind !== 'linear' || site.layer === undefined) return undefined;
  const isDecoder = sites.some(
    (other) =>
      other.kind === 'sublayer' &&
      other.stack === 'decoder' &&
      other.layer === site.layer &&
      site.path.startsWith(`${blockOf(other.path)}.`),
  );
  const layer = site.layer + (isDecoder ? layers.encoder : 0);
  const attention = /^(?:cross\.)?attention\.(query|key|value)$/.exec(site.role);
  if (attention)
    return { location: 'selfattn', matrix: attention[1]!.charAt(0) as 'q' | 'k' | 'v', layer };
  if (site.role !== 'ffn.up' && site.role !== 'ffn.down') return undefined;
  const isSwapped = conventions?.adapterHub?.swapsFeedForward ?? false;
  return { location: (site.role === 'ffn.up') === isSwapped ? 'output' : 'intermediate', layer };
}

/** Name of the model's class in transformers. */
export function hubModelClass({ modelType, head, layers, conventions }: ModelDescription): string {
  const names = conventions?.adapterHub ?? { className: modelType };
  const name = names.className;
  switch (head.kind) {
    case 'sequence-classification':
      return `${name}ForSequenceClassification`;
    case 'token-classification':
      return `${name}ForTokenClassification`;
    case 'masked-lm':
      return `${name}ForMaskedLM`;
    case 'causal-lm':
      return names.causalClass ?? `${name}ForCausalLM`;
    case 'seq2seq-lm':
      return `${name}ForConditionalGeneration`;
    default:
      return layers.decoder === 0 && names.encoderClass ? names.encoderClass : `${name}Model`;
  }
}
