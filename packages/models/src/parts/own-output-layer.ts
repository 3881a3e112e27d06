/**
 * Whether a language model's output layer is its embedding's table. The config says so; where the
 * checkpoint holds an output layer that differs, the checkpoint counts, as in transformers 5.
 */
import type { WeightStore } from '@peft/core';

/** Names by which checkpoints hold a tensor; the first that is there counts. */
type Names = readonly string[];

/** The part of a config that `settle` corrects. */
interface Tied {
  readonly isTied: boolean;
}

/**
 * The config as the checkpoint has it: untied where the file's output layer is none of the
 * embedding's.
 * @param names of the output layer's weight and of the table, as checkpoints write them
 * @param warn is told where config and file differ
 */
export function settleOutputLayer<Config extends Tied>(
  config: Config,
  store: WeightStore,
  names: { readonly output: Names; readonly table: Names },
  warn: (message: string) => void,
): Config {
  if (!config.isTied || !hasOwnOutputLayer(store, names)) return config;
  warn(
    `config.json says that the output layer is the embedding's table ` +
      `(tie_word_embeddings), but the checkpoint's ${names.output[0]} differs from it: ` +
      'both are kept as the checkpoint has them.',
  );
  return { ...config, isTied: false };
}

/**
 * Whether the file holds an output layer other than the embedding; read piece by piece, since they
 * differ at once or are a copy.
 */
export function hasOwnOutputLayer(
  store: WeightStore,
  names: { readonly output: Names; readonly table: Names },
): boolean {
  const find = (some: Names) => some.map((name) => store.get(name)).find((source) => source);
  const output = find(names.output);
  const embedding = find(names.table);
  if (!output || !embedding) return output !== undefined;
  if (output.byteLength !== embedding.byteLength || output.dtype !== embedding.dtype) return true;
  const piece = 1 << 20;
  for (let offset = 0; offset < output.byteLength; offset += piece) {
    const length = Math.min(piece, output.byteLength - offset);
    if (Buffer.compare(output.read(offset, length), embedding.read(offset, length)) !== 0)
      return true;
  }
  return false;
}
