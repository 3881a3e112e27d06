/** The size of a model's vocabulary: where its config has it, and which parameters it decides. */
import type { ModelDescription } from './model-description.js';
import { siteAt } from './site-index.js';
import type { LinearSite } from './sites.js';
import { wordTables } from './tied-embeddings.js';

/** The modules with a row for each token. */
export interface VocabularyModules {
  /** Paths of the modules that hold the word embeddings' tables. */
  readonly tables: readonly string[];
  /** Paths of the output layers with a weight of their own. */
  readonly outputs: readonly string[];
}

/** A config.json, or the text model's within it, with another number of tokens. */
export function withVocabularySize(
  config: Readonly<Record<string, unknown>>,
  size: number,
): Readonly<Record<string, unknown>> {
  const text = config['text_config'];
  if (typeof text !== 'object' || text === null || Array.isArray(text))
    return { ...config, vocab_size: size };
  const nested = { ...config, text_config: { ...text, vocab_size: size } };
  return 'vocab_size' in config ? { ...nested, vocab_size: size } : nested;
}

/** Word tables, and output layers of a language model that do not read one of them. */
export function vocabularyModules(description: ModelDescription): VocabularyModules {
  const tables = wordTables(description);
  const weights = tables.map((path) => siteAt(description, 'embedding', path).weight);
  return {
    tables,
    outputs: outputLayers(description).flatMap(({ path, weight }) =>
      weights.includes(weight) ? [] : [path],
    ),
  };
}

/**
 * Names of the parameters with a row for each token, and of buffers `[1, V]` beside the output layer
 * (BART's `final_logits_bias`).
 */
export function vocabularyParameters(description: ModelDescription): ReadonlySet<string> {
  const tables = wordTables(description).map((path) => siteAt(description, 'embedding', path));
  const outputs = outputLayers(description);
  const buffers = description.parameters.filter(
    ({ isBuffer = false, shape: [first, last] }) =>
      isBuffer && first === 1 && last === description.vocabularySize,
  );
  return new Set(
    [
      ...tables.map(({ weight }) => weight),
      ...outputs.flatMap(({ weight, bias }) => [weight, bias]),
      ...buffers.map(({ name }) => name),
    ].filter((name) => name !== undefined),
  );
}

function outputLayers({ sites, head, vocabularySize }: ModelDescription): LinearSite[] {
  if (!head.kind.endsWith('-lm')) return [];
  return sites.filter(
    (site): site is LinearSite =>
      site.kind === 'linear' && site.isOutputHead === true && site.outFeatures === vocabularySize,
  );
}
