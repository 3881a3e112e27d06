/**
 * A predictor on the quickstart's model and a few short rows, so that a fit takes a second or two.
 */
import { fileURLToPath } from 'node:url';
import type { TrainEvent } from '@peft/core';
import { PeftPredictor, type PredictorOptions } from '../src/index.js';

export const MODEL = fileURLToPath(
  new URL('../../../node_modules/.cache/peft/quick-model', import.meta.url),
);
export const DATA = fileURLToPath(new URL('../../../examples/quickstart/data', import.meta.url));

export interface QuickRow {
  readonly topic: string | number;
  readonly text: string;
}

const WORDS: Readonly<Record<string, readonly string[]>> = {
  sports: [
    'the team won the match',
    'the coach praised the players',
    'fans watched the final game',
    'a goal in the last minute',
    'the runner broke the record',
  ],
  health: [
    'the doctor treated the patient',
    'a vaccine against the virus',
    'the hospital reported new cases',
    'nurses care for the sick',
    'the medicine lowers the fever',
  ],
  travel: [
    'the train leaves at noon',
    'tourists visit the old castle',
    'the hotel lies by the beach',
    'book a flight to the island',
    'the museum opens in the morning',
  ],
};

/**
 * `rows` rows of the first `classes` topics in turn; with a number after each text all texts
 * differ.
 */
export function quickRows(rows: number, classes = 2): QuickRow[] {
  const topics = Object.keys(WORDS).slice(0, classes);
  return Array.from({ length: rows }, (_, i) => {
    const topic = topics[i % classes]!;
    const texts = WORDS[topic]!;
    return { topic, text: `${texts[Math.floor(i / classes) % texts.length]!} ${i}` };
  });
}

/** A few steps of 8 rows on the portable engine. */
export const QUICK = Object.freeze({
  'model.hf_text.checkpoint_name': MODEL,
  'model.hf_text.max_text_len': 16,
  'optim.peft': 'ia3_bias',
  'optim.lr': 1e-2,
  'optim.max_epochs': 2,
  'env.batch_size': 8,
  'env.per_gpu_batch_size': 4,
  'env.engine': 'portable',
});

export function quickPredictor(options: Partial<PredictorOptions> = {}): {
  readonly predictor: PeftPredictor;
  readonly events: TrainEvent[];
} {
  const predictor = new PeftPredictor({
    label: 'topic',
    ...options,
    hyperparameters: { ...QUICK, ...(options.hyperparameters as object | undefined) },
  });
  const events: TrainEvent[] = [];
  predictor.listen((event) => events.push(event));
  return { predictor, events };
}
