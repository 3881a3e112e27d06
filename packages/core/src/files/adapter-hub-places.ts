/** Where adapter-hub's modules live in each family: path of a site → module path, as data. */
import { PeftError } from '@peft/errors';
import type { ModelDescription } from '../description/model-description.js';
import type { Site } from '../description/sites.js';

/**
 * Families whose sublayers are modules that hold their adapters; in the others the block holds them
 * all.
 */
const MODULE_FAMILIES: ReadonlySet<string> = new Set([
  'bert',
  'roberta',
  'xlm-roberta',
  'electra',
  'deberta',
  'deberta-v2',
  't5',
  'mt5',
]);
const BLOCK_MODULES: Readonly<Record<string, string>> = {
  attention: 'attention_adapters',
  ffn: 'output_adapters',
  'cross-attention': 'cross_attention_adapters',
};

/** Families that name the two feed-forward projections the wrong way round. */
const SWAPPED_FAMILIES: ReadonlySet<string> = new Set(['llama', 'mistral']);

/** Families whose prefix of the only stack is called otherwise than `self_prefix`. */
const PREFIX_NAMES: Readonly<Record<string, string>> = { distilbert: 'self' };

const CLASS_NAMES: Readonly<Record<string, string>> = {
  bert: 'Bert',
  roberta: 'Roberta',
  'xlm-roberta': 'XLMRoberta',
  electra: 'Electra',
  'deberta-v2': 'DebertaV2',
  distilbert: 'DistilBert',
  modernbert: 'ModernBert',
  t5: 'T5',
  mt5: 'MT5',
  llama: 'Llama',
  mistral: 'Mistral',
  gpt2: 'GPT2',
  qwen2: 'Qwen2',
  qwen3: 'Qwen3',
  gemma2: 'Gemma2',
  gemma3_text: 'Gemma3',
  phi3: 'Phi3',
  albert: 'Albert',
  camembert: 'Camembert',
  'xlm-roberta-xl': 'XLMRobertaXL',
  convbert: 'ConvBert',
  mpnet: 'MPNet',
  bart: 'Bart',
  mbart: 'MBart',
  pegasus: 'Pegasus',
  m2m_100: 'M2M100',
  umt5: 'UMT5',
  gemma: 'Gemma',
  granite: 'Granite',
  smollm3: 'SmolLM3',
  olmo2: 'Olmo2',
  olmo3: 'Olmo3',
  glm4: 'Glm4',
  cohere2: 'Cohere2',
  stablelm: 'StableLm',
  starcoder2: 'Starcoder2',
  nemotron: 'Nemotron',
  phi: 'Phi',
  gpt_neox: 'GPTNeoX',
  gpt_neo: 'GPTNeo',
  opt: 'OPT',
  bloom: 'Bloom',
  falcon: 'Falcon',
  mpt: 'Mpt',
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
      return MODULE_FAMILIES.has(description.modelType)
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
  { layers, modelType }: ModelDescription,
): string {
  if (stack === 'cross') return 'cross_prefix';
  return stack === 'encoder' && layers.decoder > 0
    ? 'encoder_prefix'
    : (PREFIX_NAMES[modelType] ?? 'self_prefix');
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
  { modelType, layers, sites }: ModelDescription,
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
  return {
    location:
      (site.role === 'ffn.up') === SWAPPED_FAMILIES.has(modelType) ? 'output' : 'intermediate',
    layer,
  };
}

/** Name of the model's class in transformers. */
export function hubModelClass({ modelType, head, layers }: ModelDescription): string {
  const name = CLASS_NAMES[modelType] ?? modelType;
  switch (head.kind) {
    case 'sequence-classification':
      return `${name}ForSequenceClassification`;
    case 'token-classification':
      return `${name}ForTokenClassification`;
    case 'masked-lm':
      return `${name}ForMaskedLM`;
    case 'causal-lm':
      return modelType === 'gpt2' ? 'GPT2LMHeadModel' : `${name}ForCausalLM`;
    case 'seq2seq-lm':
      return `${name}ForConditionalGeneration`;
    default:
      return (modelType === 't5' || modelType === 'mt5') && layers.decoder === 0
        ? `${name}EncoderModel`
        : `${name}Model`;
  }
}
