/** Opens one hostile input and prints the code of the error: `attempt.ts KIND PATH MODELS`. */
import { join } from 'node:path';
import { readFileSync } from 'node:fs';
import { architectureFor, loadAdapter, loadModel } from '@peft/core';
import { loadTokenizer, readTable } from '@peft/data';
import { openCheckpoint } from '@peft/hub';
import { allMethods } from '@peft/methods';
import { architectures } from '@peft/models';
import { openEngine } from '../golden/engines.js';

const [kind, path, models] = process.argv.slice(2) as [string, string, string];

async function openAdapter(): Promise<void> {
  const engine = await openEngine('portable');
  const folder = join(models, 'llama');
  const config = JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8')) as Record<
    string,
    unknown
  >;
  const architecture = architectureFor('llama', architectures);
  const model = loadModel(architecture, config, openCheckpoint(folder), engine, {
    head: { kind: 'causal-lm' },
  });
  await loadAdapter(model, path, { methods: allMethods });
}

try {
  if (kind === 'table') await readTable(path);
  else if (kind === 'tokenizer') loadTokenizer(path);
  else await openAdapter();
  // What was made apart from the promise may fail a little later.
  await new Promise((done) => setTimeout(done, 200));
  console.log('opened');
} catch (error) {
  console.log((error as { code?: string }).code ?? String(error));
  process.exitCode = 1;
}
