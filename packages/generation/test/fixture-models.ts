/** Tiny checkpoints with random weights, loaded to write. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { architectureFor, loadModel, type Model } from '@peft/core';
import { loadTokenizer, type TextTokenizer } from '@peft/data';
import { openCheckpoint } from '@peft/hub';
import { architectures } from '@peft/models';
import type { Engine } from '@peft/ops';

const FIXTURES = fileURLToPath(new URL('../../testing/fixtures/models', import.meta.url));

/** The caller disposes it. */
export function openFixture(name: string, engine: Engine, isPair = /t5/.test(name)): Model {
  const folder = join(FIXTURES, name);
  const config = JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8')) as Record<
    string,
    unknown
  >;
  const store = openCheckpoint(folder);
  try {
    return loadModel(architectureFor(config['model_type'], architectures), config, store, engine, {
      head: { kind: isPair ? 'seq2seq-lm' : 'causal-lm' },
    });
  } finally {
    store.close();
  }
}

export const fixtureTokenizer = (name: string): TextTokenizer =>
  loadTokenizer(join(FIXTURES, name));
