/**
 * What a suite sets up and takes down again: an engine, a model for each test, a folder. Each
 * declares vitest's hooks where it is called.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import type { Adapter, Model, OwnedParameter } from '@peft/core';
import type { Engine } from '@peft/ops';
import { createPortableEngine } from '@peft/portable';
import { afterAll, afterEach, beforeAll, beforeEach, expect } from 'vitest';
import { seededTensor } from './seeded-tensor.js';
import { toBeAllclose } from './to-be-allclose.js';

/**
 * An active portable engine for the tests of a block, and the matcher `toBeAllclose`.
 * @param assign gets it before the first test; it is disposed of after the last.
 */
export function usePortableEngine(assign: (engine: Engine) => void): void {
  let engine: Engine;
  beforeAll(async () => {
    expect.extend({ toBeAllclose });
    engine = await createPortableEngine();
    await engine.activate();
    assign(engine);
  });
  afterAll(() => engine.dispose());
}

/**
 * A model made anew for each test, after which there must be as many tensors as before.
 * @param assign gets it before each test.
 */
export function useModel(open: () => Model, assign: (model: Model) => void): void {
  let model: Model;
  let tensors = 0;
  beforeEach(() => {
    tensors = tf.memory().numTensors;
    model = open();
    assign(model);
  });
  afterEach(() => {
    model.dispose();
    expect(tf.memory().numTensors, 'tensors left behind').toBe(tensors);
  });
}

/**
 * An empty folder for each test, removed after it. @param assign gets its path before each test.
 */
export function useTemporaryFolder(assign: (folder: string) => void): void {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'peft-test-'));
    assign(folder);
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));
}

/**
 * Moves parameters of an adapter away from where they start, by seeded normal numbers, as if it had
 * been trained.
 * @param scale standard deviation. @param which default: those that train. @returns the adapter
 */
export function moveParameters(
  adapter: Adapter,
  seed: number | string,
  scale: number,
  which: (parameter: OwnedParameter) => boolean = ({ trainable }) => trainable,
): Adapter {
  for (const parameter of adapter.parameters.values()) {
    if (!which(parameter)) continue;
    const { name, value, shape } = parameter;
    const noise = seededTensor(`${seed} ${name}`, shape, scale);
    tf.tidy(() => value.assign(tf.add(value, noise)));
    noise.dispose();
  }
  return adapter;
}
