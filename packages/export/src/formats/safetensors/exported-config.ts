/** config.json of a model that leaves on its own. */
import { isDecoder, type ModelDescription } from '@peft/core';
import type { JsonObject } from '@peft/hub';
import type { TrainedModel } from '@peft/predictor';

/** Ends of transformers' class names. */
const CLASS_OF_HEAD: Readonly<Record<string, string>> = Object.freeze({
  none: 'Model',
  'pooled-linear': 'Model',
  'sequence-classification': 'ForSequenceClassification',
  'token-classification': 'ForTokenClassification',
  'masked-lm': 'ForMaskedLM',
  'causal-lm': 'ForCausalLM',
});

/**
 * The base's config with what export and training changed: the type of the weights, the class of
 * the head, its labels, the vocabulary; nothing of how the base was quantised.
 * @param dtype a torch name without `torch.`
 */
export function exportedConfig(source: TrainedModel, dtype: string): JsonObject {
  const { model, base, classes, task } = source;
  const { quantization_config: _, torch_dtype, text_config: text, ...rest } = base.config;
  // of a model of texts and images only the text model was loaded
  const own = isObject(text)
    ? { ...text, model_type: text['model_type'] ?? `${String(rest['model_type'])}_text` }
    : rest;
  const labels =
    classes?.length && model.description.head.kind !== 'causal-lm' ? classes : undefined;
  return {
    ...own,
    ...architecturesOf(base.config, model.description),
    [torch_dtype === undefined ? 'dtype' : 'torch_dtype']: dtype,
    vocab_size: model.description.vocabularySize,
    ...tyingOf(model.description),
    ...(labels && {
      id2label: Object.fromEntries(labels.map((label, id) => [String(id), String(label)])),
      label2id: Object.fromEntries(labels.map((label, id) => [String(label), id])),
    }),
    ...(task === 'regression' ? { num_labels: 1, problem_type: 'regression' } : {}),
  };
}

const isObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function architecturesOf(config: JsonObject, { head }: ModelDescription): JsonObject {
  const [given] = Array.isArray(config['architectures'])
    ? (config['architectures'] as unknown[])
    : [];
  if (typeof given !== 'string') return {};
  const suffix = CLASS_OF_HEAD[head.kind];
  const isAlready = head.kind === 'causal-lm' && given.endsWith('LMHeadModel');
  if (suffix === undefined || isAlready) return { architectures: [given] };
  return { architectures: [given.replace(/(For[A-Z]\w*|LMHeadModel|Model)$/, '') + suffix] };
}

/** Whether the output layer is the embedding's table, as the weights have it. */
function tyingOf(description: ModelDescription): JsonObject {
  if (!isDecoder(description) || description.head.kind !== 'causal-lm') return {};
  const output = description.sites.find((site) => site.kind === 'linear' && site.isOutputHead);
  const isTied = description.sites.some(
    (site) =>
      site.kind === 'embedding' && output?.kind === 'linear' && site.weight === output.weight,
  );
  return { tie_word_embeddings: isTied };
}
