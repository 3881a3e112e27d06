/** Every fixture's model loads with more tokens or with fewer, and knows the ones that are left. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as tf from '@tensorflow/tfjs';
import { architectureFor, loadModel, type HeadOptions } from '@peft/core';
import { openCheckpoint } from '@peft/hub';
import type { Engine } from '@peft/ops';
import { createPortableEngine } from '@peft/portable';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { architectures } from '../src/index.js';

const FIXTURES = fileURLToPath(new URL('../../testing/fixtures/models', import.meta.url));
let engine: Engine;
beforeAll(async () => {
  engine = await createPortableEngine();
  await engine.activate();
});
afterAll(() => engine.dispose());

const names = readdirSync(FIXTURES).filter((name) =>
  existsSync(join(FIXTURES, name, 'config.json')),
);

it.each(names.map((name, n) => ({ name, change: n % 2 ? 3 : -4 })))('$name', ({ name, change }) => {
  const folder = join(FIXTURES, name);
  const config = JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8')) as Record<
    string,
    unknown
  >;
  const architecture = architectureFor(config['model_type'], architectures);
  const lm = architecture.heads.find((kind) => kind === 'causal-lm' || kind === 'seq2seq-lm');
  const head = { kind: lm ?? 'none' } as HeadOptions;
  const store = openCheckpoint(folder);
  const run = (
    vocabularySize?: number,
  ): { stored: number; width: number; values: Float32Array } => {
    const model = loadModel(architecture, config, store, engine, { head, vocabularySize });
    const ids = Int32Array.of(5, 9, 7);
    const offsets = Int32Array.of(0, 3);
    const pair = lm === 'seq2seq-lm' ? { decoder: { inputIds: ids, offsets } } : {};
    try {
      return tf.tidy(() => {
        const { logits, hidden } = model.forward({ inputIds: ids, offsets, ...pair });
        const [, width] = (logits ?? hidden).shape;
        const values = Float32Array.from((logits ?? hidden).dataSync<'float32'>());
        return { stored: model.description.vocabularySize, width, values };
      });
    } finally {
      model.dispose();
    }
  };
  try {
    const { stored, width, values } = run();
    const other = run(stored + change);
    expect(other.stored).toBe(stored + change);
    if (lm) expect(other.width).toBe(stored + change);
    const shared = Math.min(width, other.width);
    for (let row = 0; row < 3; row += 1) {
      const before = values.subarray(row * width, row * width + shared);
      const after = other.values.subarray(row * other.width, row * other.width + shared);
      const most = before.reduce((far, value, i) => Math.max(far, Math.abs(value - after[i]!)), 0);
      expect(most).toBeLessThan(2e-5);
    }
  } finally {
    store.close();
  }
});
