/** Which files of a model repository are needed. */
import { SENTENCE_PIECE_FILES } from '../files/model-folder.js';
import { ADAPTER_WEIGHT_FILES, WEIGHT_FILES } from '../safetensors/open-checkpoint.js';

/**
 * `config`: config.json and generation_config.json; `tokenizer`: its files; `weights`: of the
 * model; `adapter`: an adapter's config and weights.
 */
export type ModelFileKind = 'config' | 'tokenizer' | 'weights' | 'adapter';

/** The files of a repository that a program needs. */
export interface SelectedFiles {
  /** Names without folders, small files first. The shards of `index` are not among them. */
  readonly files: readonly string[];
  /** The index of sharded weights, which is among `files`. */
  readonly index?: string;
  /** Kinds that cannot be had from these names. */
  readonly missing: readonly ModelFileKind[];
}

/**
 * Selects files: of the weights one form (safetensors before a pickle, one file before shards); of
 * the tokenizer `tokenizer.json`, and the vocabulary that it would be made from only where it is
 * missing.
 */
export function selectModelFiles(
  names: Iterable<string>,
  kinds: readonly ModelFileKind[],
): SelectedFiles {
  const there = new Set(names);
  const files: string[] = [];
  const missing: ModelFileKind[] = [];
  const take = (...wanted: string[]) => files.push(...wanted.filter((name) => there.has(name)));
  if (kinds.includes('config')) {
    if (!there.has('config.json')) missing.push('config');
    take('config.json', 'generation_config.json');
  }
  if (kinds.includes('tokenizer')) {
    const vocabularies = [...SENTENCE_PIECE_FILES, 'vocab.txt', 'vocab.json'];
    if (there.has('tokenizer.json')) take('tokenizer.json');
    else if (vocabularies.some((name) => there.has(name))) take(...vocabularies, 'merges.txt');
    else missing.push('tokenizer');
    take(
      'tokenizer_config.json',
      'special_tokens_map.json',
      'added_tokens.json',
      'chat_template.jinja',
    );
  }
  let index: string | undefined;
  if (kinds.includes('weights')) {
    const weights = WEIGHT_FILES.find((name) => there.has(name));
    if (!weights) missing.push('weights');
    else take(weights);
    if (weights?.endsWith('.index.json')) index = weights;
  }
  if (kinds.includes('adapter')) {
    const weights = ADAPTER_WEIGHT_FILES.find((name) => there.has(name));
    if (!weights || !there.has('adapter_config.json')) missing.push('adapter');
    else take('adapter_config.json', weights);
  }
  return { files, missing, index };
}
