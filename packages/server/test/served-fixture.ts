/** A tiny Llama with random weights, and adapters for it that change what it says. */
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as tf from '@tensorflow/tfjs';
import { architectureFor, loadModel, saveAdapter, type MethodSpec, type Model } from '@peft/core';
import { ia3 } from '@peft/ia3';
import { lora } from '@peft/lora';
import { poly } from '@peft/low-rank';
import { openCheckpoint, readModelConfig } from '@peft/hub';
import { architectures } from '@peft/models';
import { prefixTuning } from '@peft/prompt-tuning';
import { createPortableEngine } from '@peft/portable';

export const LLAMA = fileURLToPath(new URL('../../testing/fixtures/models/llama', import.meta.url));

const SPECS: Readonly<Record<string, MethodSpec>> = {
  warm: lora({ rank: 4, targets: ['q_proj', 'v_proj'] }),
  cold: ia3({ targets: ['k_proj', 'v_proj'], feedforwardModules: [] }),
  front: prefixTuning({ virtualTokens: 3 }),
  several: poly({ rank: 2, tasks: 2, skills: 2 }),
};

/**
 * Writes the adapters `warm` (LoRA), `cold` (IA3), `front` (a prefix) and `several` (Poly of two tasks).
 * @returns their folder
 */
export async function writeAdapters(): Promise<string> {
  const root = mkdtempSync(join(tmpdir(), 'peft-served-'));
  const engine = await createPortableEngine();
  await engine.activate();
  const config = readModelConfig(LLAMA);
  const store = openCheckpoint(LLAMA);
  const model = loadModel(
    architectureFor(config['model_type'], architectures),
    config,
    store,
    engine,
    { head: { kind: 'causal-lm' } },
  );
  store.close();
  for (const [name, spec] of Object.entries(SPECS)) {
    model.addAdapter(name, spec);
    randomize(model);
    await saveAdapter(model, name, join(root, name));
  }
  model.dispose();
  engine.dispose();
  return root;
}

function randomize(model: Model): void {
  for (const [index, { value }] of model.trainables().entries())
    tf.tidy(() =>
      value.assign(tf.add(value, tf.randomNormal(value.shape, 0, 0.4, 'float32', index + 7))),
    );
}
