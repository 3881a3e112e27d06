/** How many tokens the model had that an adapter was trained on, as its files tell. */
import { join } from 'node:path';
import { openCheckpoint, readJsonObject } from '@peft/hub';
import type { ModelDescription } from '../description/model-description.js';
import { tiedEmbeddings } from '../description/tied-embeddings.js';
import { vocabularyModules } from '../description/vocabulary.js';
import { peftFormat } from './peft-format.js';
import { existsSync } from 'node:fs';

/** What an adapter's file tells of the vocabulary that it was trained with. */
export interface AdapterVocabulary {
  /** Rows of the tables that it holds whole or has a low-rank path on; undefined: it has none. */
  readonly size: number | undefined;
  /** The largest id of a row that it trains. */
  readonly largestRow: number | undefined;
}

/**
 * Reads names and shapes of an adapter in PEFT's layout. Of a table that was resized PEFT stores
 * all rows (`save_embedding_layers`), or the trained ones (`trainable_token_indices`).
 * @param description of the base, whatever its number of tokens
 */
export function adapterVocabulary(
  folder: string,
  description: ModelDescription,
): AdapterVocabulary {
  const file = peftFormat.weightFiles
    .map((name) => join(folder, name))
    .find((path) => existsSync(path));
  const config = readJsonObject(join(folder, 'adapter_config.json')) ?? {};
  const rows = [config['trainable_token_indices'], config['token_indices']]
    .flatMap((given) => (isRecord(given) ? Object.values(given) : [given]))
    .flat()
    .filter((id): id is number => Number.isSafeInteger(id));
  const largestRow = rows.length ? rows.reduce((most, id) => Math.max(most, id)) : undefined;
  return { size: file === undefined ? undefined : tableRows(file, description), largestRow };
}

/** Rows of the first tensor that has one for each token. */
function tableRows(file: string, description: ModelDescription): number | undefined {
  const { tables, outputs } = vocabularyModules(description);
  const readers = tiedEmbeddings(description).map(({ reader }) => reader.path);
  const store = openCheckpoint(file);
  try {
    for (const name of store.names()) {
      const { shape } = store.get(name)!;
      const isAt = (paths: readonly string[]) =>
        paths.some((path) => `.${name}`.includes(`.${withoutPrefix(path, description)}.`));
      const isTable = isAt([...tables, ...readers]);
      if (!isTable && !isAt([...outputs, 'lm_head'])) continue;
      if (/\.lora_embedding_A(\.[^.]+)?$/.test(name)) return shape[1];
      if (!isTable && /\.lora_B(\.[^.]+)?\.weight$/.test(name)) return shape[0];
      if (/(^|\.)weight$/.test(name) && !name.includes('.lora_') && shape.length === 2)
        return shape[0];
    }
    return undefined;
  } finally {
    store.close();
  }
}

const withoutPrefix = (path: string, { basePrefix }: ModelDescription): string =>
  basePrefix && path.startsWith(`${basePrefix}.`) ? path.slice(basePrefix.length + 1) : path;

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
