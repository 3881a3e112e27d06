/** What transformers.js makes of an exported folder. */
import type { ModelDescription } from '@peft/core';
import type { JsonObject } from '@peft/hub';

const ENCODERS = [
  'bert',
  'camembert',
  'convbert',
  'deberta-v2',
  'distilbert',
  'electra',
  'modernbert',
  'mpnet',
  'roberta',
  'xlm-roberta',
];

/** Values of `model_type` that version 4 has a class for, of those that can be written. */
const TYPES: Readonly<Record<string, readonly string[]>> = Object.freeze({
  none: [...ENCODERS, 'albert'],
  'sequence-classification': [...ENCODERS, 'albert'],
  'token-classification': ENCODERS,
  'causal-lm': [
    'bloom',
    'cohere2',
    'deepseek_v3',
    'falcon',
    'gemma',
    'gemma2',
    'gemma3_text',
    'gpt2',
    'gpt_oss',
    'gpt_neo',
    'gpt_neox',
    'granite',
    'llama',
    'mistral',
    'mpt',
    'olmo2',
    'olmo3',
    'opt',
    'phi',
    'phi3',
    'qwen2',
    'qwen2_moe',
    'qwen3',
    'qwen3_moe',
    'smollm3',
    'stablelm',
    'starcoder2',
  ],
  'seq2seq-lm': ['bart', 'm2m_100', 'marian', 'mbart', 'mt5', 't5'],
});

/** A head of ours is a classifier of sequences there. */
const headOf = ({ head }: ModelDescription): string =>
  head.kind === 'pooled-linear' ? 'sequence-classification' : head.kind;

/** What to say of a model that transformers.js has no class for. */
export function classWarning(description: ModelDescription, config: JsonObject): string[] {
  const type = String(config['model_type']);
  const head = headOf(description);
  if (TYPES[head]?.includes(type)) return [];
  return [
    `transformers.js 4 has no class for ${type} with this head (${head}): run the graph with ` +
      'onnxruntime-node or onnxruntime-web.',
  ];
}

/** Width of cached keys and values, which transformers.js reads there and hub configs leave out. */
function cacheSizes({ modelType, sites }: ModelDescription): JsonObject {
  const attention = sites.find((site) => site.kind === 'attention');
  return modelType === 'deepseek_v3' && attention ? { qk_head_dim: attention.headSize } : {};
}

/** `config.json` with the class of the head, and which files there are. */
export function transformersJsConfig(
  description: ModelDescription,
  config: JsonObject,
  type: string,
  plans: readonly { readonly name: string; readonly dataFiles: readonly string[] }[],
): JsonObject {
  const architectures = config['architectures'] as readonly string[] | undefined;
  return {
    ...config,
    ...cacheSizes(description),
    architectures:
      description.head.kind === 'pooled-linear'
        ? architectures?.map((named) => named.replace(/Model$/, 'ForSequenceClassification'))
        : architectures,
    'transformers.js_config': {
      dtype: type,
      use_external_data_format: Object.fromEntries(
        plans.map(({ name, dataFiles }) => [name, dataFiles.length]),
      ),
    },
  };
}
