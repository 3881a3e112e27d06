/** The model folders that the tests of this package run. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const FIXTURES = fileURLToPath(new URL('../../testing/fixtures', import.meta.url));

export const modelFolders: readonly string[] = readdirSync(join(FIXTURES, 'models'), {
  withFileTypes: true,
})
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => name);

/** The cases that run on the portable engine at once: one of each form. The others take minutes. */
export const portableFolders: ReadonlySet<string> = new Set([
  'bert',
  'deberta-v2',
  'deberta-v2-convolution',
  'deberta-v2-plain',
  'distilbert',
  'electra',
  'flan-t5',
  'gemma2',
  'gemma3',
  'gpt2',
  'llama',
  'llama-yarn',
  'mistral',
  'modernbert',
  'modernbert-mean',
  'mt5',
  'phi3',
  'phi3-longrope',
  'qwen2',
  'qwen3',
  'roberta',
  't5',
  'xlm-roberta',
]);

export const readConfigJson = (folder: string): Record<string, unknown> =>
  JSON.parse(readFileSync(join(FIXTURES, folder, 'config.json'), 'utf8')) as Record<
    string,
    unknown
  >;
