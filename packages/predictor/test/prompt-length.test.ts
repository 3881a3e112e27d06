/** Virtual tokens and texts share the positions of a model. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { methodNamed } from '@peft/methods';
import { afterAll, expect, it, onTestFinished } from 'vitest';
import { PeftPredictor } from '../src/index.js';
import { smallModel } from './small-model.js';

const folder = mkdtempSync(join(tmpdir(), 'peft-prompt-length-'));
const distilbert = smallModel('distilbert', join(folder, 'model')); // 32 positions
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const rows = Array.from({ length: 8 }, (_, n) => ({
  topic: n % 2 ? 'a' : 'b',
  text: `${'word '.repeat(n % 2 ? 60 : 2)}${n}`,
}));

it.each(['prompt-tuning', 'p-tuning', 'prefix-tuning'])(
  'texts are cut to what %s leaves, which is said',
  async (name) => {
    const predictor = new PeftPredictor({ label: 'topic' });
    onTestFinished(() => predictor.dispose());
    const messages: string[] = [];
    predictor.listen((event) => {
      if (event.type === 'run/warned') messages.push(event.message);
    });
    await predictor.fit(rows, {
      tuningData: rows,
      method: methodNamed(name, { virtualTokens: 6 }),
      hyperparameters: {
        'model.hf_text.checkpoint_name': distilbert,
        'optim.max_steps': 1,
        'env.engine': 'portable',
      },
    });
    expect(messages.join('\n')).toContain('4 of 8 rows lose what is beyond 26 tokens');
    expect(await predictor.predict(rows)).toHaveLength(rows.length);
  },
);
