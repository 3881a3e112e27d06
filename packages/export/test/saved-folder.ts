/** Folders that short fits saved, for every kind of task. */
import { join } from 'node:path';
import { PeftPredictor, type FitOptions } from '@peft/predictor';
import { fixtureModel } from './fixtures.js';

const texts = ['a cat sleeps', 'two dogs run', 'the bird sings', 'a fish swims'];
const ROWS = {
  'causal-lm': texts.map((text) => ({ text })),
  'multi-label-classification': texts.map((text, i) => ({
    text,
    label: [...(i % 2 ? ['even'] : []), ...(i < 2 ? ['early'] : [])],
  })),
  embeddings: texts.map((text) => ({ anchor: text.slice(2), positive: text })),
  ranking: texts.flatMap((document) => [
    { query: document.slice(2), document, relevance: 1 },
    { query: document.slice(2), document: 'nothing of it', relevance: 0 },
  ]),
} as const;

/** @returns the folder `name` in `folder` that a short fit saved. */
export async function savedFolder(
  folder: string,
  name: string,
  task: keyof typeof ROWS,
  base: string,
  { settings = {}, ...options }: FitOptions & { readonly settings?: object },
): Promise<string> {
  const path = join(folder, name);
  const label = task === 'multi-label-classification' ? 'label' : undefined;
  const predictor = new PeftPredictor({ task, label, path });
  const rows = ROWS[task] as never; // tables of different columns
  try {
    await predictor.fit(rows, {
      tuningData: rows,
      hyperparameters: {
        'model.hf_text.checkpoint_name': fixtureModel(base),
        'optim.lr': 2e-2,
        'optim.max_steps': 3,
        'env.batch_size': 4,
        'env.engine': 'portable',
        ...settings,
      },
      ...options,
    });
    return path;
  } finally {
    predictor.dispose();
  }
}
