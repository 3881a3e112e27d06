/**
 * Declares a test for each golden case of a folder, as `npm run test:golden` runs it, on the
 * portable engine or another.
 */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as tf from '@tensorflow/tfjs';
import type { Engine } from '@peft/ops';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openEngine } from './engines.js';
import type { GoldenSection } from './golden-case.js';

export const FIXTURES = fileURLToPath(new URL('../../packages/testing/fixtures', import.meta.url));

/** @param folders names of the cases below `section`. @param engineName as `--engine` takes it */
export function describeGolden(
  title: string,
  section: string,
  folders: readonly string[],
  check: GoldenSection['check'],
  engineName = 'portable',
): void {
  describe(title, () => {
    let engine: Engine;
    beforeAll(async () => {
      engine = await openEngine(engineName);
    });
    afterAll(() => engine.dispose());

    test.each(folders)('%s', async (folder) => {
      const before = tf.memory().numTensors;
      const { status, detail } = await check(join(FIXTURES, section, folder), {
        fixtures: FIXTURES,
        engine,
      });
      expect(`${status}: ${detail}`).toMatch(/^passed/);
      expect(tf.memory().numTensors).toBe(before);
    });
  });
}
