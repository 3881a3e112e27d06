/** The files of Hugging Face beside the weights, made from what a GGUF file says of its model. */
import { join } from 'node:path';
import { writeFileAtomic } from '../files/write-file-atomic.js';
import { ggufConfig } from './gguf-config.js';
import { ggufTokenizer } from './gguf-tokenizer.js';
import { openGguf } from './open-gguf.js';

/**
 * Writes `config.json`, `tokenizer.json` and `tokenizer_config.json` (with the chat template) into
 * a folder.
 * @throws PEFT_GGUF_…, before anything is written
 */
export async function writeGgufModelFiles(path: string, folder: string): Promise<void> {
  const file = openGguf(path);
  const files = (() => {
    try {
      const { json, config } = ggufTokenizer(file);
      return {
        'config.json': ggufConfig(file),
        'tokenizer.json': json,
        'tokenizer_config.json': config,
      };
    } finally {
      file.close();
    }
  })();
  for (const [name, content] of Object.entries(files))
    await writeFileAtomic(join(folder, name), `${JSON.stringify(content, null, 1)}\n`);
}
