/** The fixtures of all families as checkpoints that read text. */
import { cpSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const FIXTURES = fileURLToPath(new URL('../../testing/fixtures/models/', import.meta.url));
const LETTERS = [...'abcdefghijklmnopqrstuvwxyz'];

const json = (path: string): Record<string, unknown> =>
  JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;

/**
 * Copies a fixture into a folder. One without a tokenizer gets one of letters: 60 tokens are all
 * that those models have.
 * @returns the folder
 */
export function smallModel(name: string, folder: string): string {
  cpSync(join(FIXTURES, name), folder, {
    recursive: true,
    filter: (path) => !/(case\.json|expected\.safetensors|pytorch_model\.bin)$/.test(path),
  });
  if (existsSync(join(folder, 'tokenizer.json'))) return folder;
  const config = json(join(folder, 'config.json'));
  const bert = json(join(FIXTURES, 'bert/tokenizer.json'));
  const padding = Number(config['pad_token_id'] ?? 0);
  const specials = ['[UNK]', '[CLS]', '[SEP]', '[MASK]'];
  specials.splice(padding, 0, '[PAD]');
  const tokens = [...specials, ...LETTERS, ...LETTERS.map((letter) => `##${letter}`)];
  const vocab = Object.fromEntries(tokens.map((token, id) => [token, id]));
  const text = JSON.stringify({
    ...bert,
    added_tokens: (bert['added_tokens'] as { readonly content: string }[]).map((token) => ({
      ...token,
      id: vocab[token.content],
    })),
    model: { ...(bert['model'] as object), vocab },
  });
  const ids = (token: string): string => `"ids":[${vocab[token]}]`;
  writeFileSync(
    join(folder, 'tokenizer.json'),
    text
      .replace(/"id":"\[CLS\]","ids":\[\d+\]/, `"id":"[CLS]",${ids('[CLS]')}`)
      .replace(/"id":"\[SEP\]","ids":\[\d+\]/, `"id":"[SEP]",${ids('[SEP]')}`),
  );
  cpSync(join(FIXTURES, 'bert/tokenizer_config.json'), join(folder, 'tokenizer_config.json'));
  return folder;
}
