/** Fits that must be refused without a trace, and a folder for what they read and write. */
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { afterAll, beforeAll, beforeEach, expect } from 'vitest';
import type { FitOptions, PredictorData, PredictorOptions } from '../src/index.js';
import { quickPredictor } from './quick.js';

export interface Refusals {
  /** Is there from the first test to the last. */
  readonly folder: string;
  /** A path that nothing stands at, another one for each test. */
  readonly path: string;
  /** Fits and returns the error; no tensor and no file may be left. */
  refusal(
    data: PredictorData,
    options?: Partial<PredictorOptions> & { fit?: FitOptions },
  ): Promise<{ code: string; message: string }>;
  /** Writes a file into the folder and returns where. */
  file(name: string, content: string): string;
}

/** Declares vitest's hooks where it is called. */
export function useRefusals(): Refusals {
  let folder: string;
  let count = 0;
  let path: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'peft-predictor-bad-'));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  beforeEach(() => {
    path = join(folder, `case-${(count += 1)}`);
  });
  return {
    get folder() {
      return folder;
    },
    get path() {
      return path;
    },
    async refusal(data, { fit = {}, ...options } = {}) {
      const { predictor } = quickPredictor({ path, ...options });
      const before = tf.memory().numTensors;
      const around = readdirSync(folder).sort();
      const error: unknown = await predictor.fit(data, fit).then(
        () => undefined,
        (reason: unknown) => reason,
      );
      expect(tf.memory().numTensors).toBe(before);
      expect(readdirSync(folder).sort()).toEqual(around);
      expect(() => predictor.fitSummary()).toThrow();
      predictor.dispose();
      return error as { code: string; message: string };
    },
    file(name, content) {
      const where = join(folder, name);
      writeFileSync(where, content);
      return where;
    },
  };
}
