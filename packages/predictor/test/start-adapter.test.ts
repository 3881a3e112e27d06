import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { methodNamed } from '@peft/methods';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { PeftPredictor, type FitOptions } from '../src/index.js';
import { QUICK, quickPredictor, quickRows } from './quick.js';
import { smallModel } from './small-model.js';

const rows = quickRows(16);
let folder: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'peft-start-'));
  const first = new PeftPredictor({
    label: 'topic',
    path: join(folder, 'first'),
    hyperparameters: QUICK,
  });
  await first.fit(rows, {
    tuningData: rows,
    method: methodNamed('lora', { rank: 2, alpha: 6 }),
    hyperparameters: { 'optim.max_steps': 3 },
  });
  first.dispose();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A fit that goes on from the first adapter, and its probabilities. */
async function goOn(options: FitOptions) {
  const { predictor, events } = quickPredictor();
  try {
    await predictor.fit(rows, { tuningData: rows, ...options });
    const { method, trainableParameters } = predictor.fitSummary();
    const answers = await predictor.predictProba(rows);
    const warnings = events.flatMap((event) => (event.type === 'run/warned' ? event.code : []));
    return { method, trainableParameters, answers, warnings };
  } finally {
    predictor.dispose();
  }
}

it('starts where the given adapter was, whether its own folder or the predictor is named', async () => {
  const saved = await PeftPredictor.load(join(folder, 'first'), { engine: 'portable' });
  const expected = await saved.predictProba(rows);
  const { trainableParameters } = saved;
  saved.dispose();
  // a rate that float32 does not see leaves everything as it was
  const still = { 'optim.max_steps': 1, 'optim.lr': 1e-30 };
  for (const adapter of [join(folder, 'first'), join(folder, 'first', 'adapter')]) {
    const made = await goOn({ adapter, hyperparameters: still });
    expect(made).toMatchObject({ method: 'lora', trainableParameters });
    expect(made.warnings).toContain('PEFT_MEMORY_UNPLANNED');
    made.answers.forEach((answer, row) =>
      answer.forEach((value, i) => expect(value).toBeCloseTo(expected[row]![i]!, 5)),
    );
  }
  const trained = await goOn({
    adapter: join(folder, 'first'),
    hyperparameters: { 'optim.max_steps': 3 },
  });
  expect(trained.answers).not.toEqual(expected);
});

it('refuses an adapter together with a method, and a folder that holds none', async () => {
  await expect(
    goOn({ adapter: join(folder, 'first'), method: methodNamed('ia3') }),
  ).rejects.toMatchObject({ code: 'PEFT_CONFIG_INVALID' });
  await expect(goOn({ adapter: join(folder, 'nothing') })).rejects.toMatchObject({
    code: 'PEFT_ADAPTER_MISSING',
  });
});

it('a further fit keeps the text columns, and refuses others by name', async () => {
  const saved = await PeftPredictor.load(join(folder, 'first'), { engine: 'portable' });
  const { textColumns } = saved;
  const again = { tuningData: rows, hyperparameters: { 'optim.max_steps': 1 } };
  await expect(saved.fit(rows, { ...again, textColumns: ['topic'] })).rejects.toMatchObject({
    code: 'PEFT_FIT_CHANGED',
    message: expect.stringContaining(`(${textColumns.join(', ')} so far, topic now)`) as string,
  });
  saved.dispose();
});

it('a further fit tells text columns apart that differ at the end of long names', async () => {
  const { predictor } = quickPredictor();
  const column = (end: string) => `${'words '.repeat(20)}${end}`;
  const named = rows.map(({ topic, text }) => ({ topic, [column('a')]: text }));
  const again = { tuningData: named, hyperparameters: { 'optim.max_steps': 1 } };
  await predictor.fit(named, again);
  await expect(
    predictor.fit(named, { ...again, textColumns: [column('b')] }),
  ).rejects.toMatchObject({ code: 'PEFT_FIT_CHANGED' });
  predictor.dispose();
});

it('refuses before it trains what no file could describe', async () => {
  const { predictor, events } = quickPredictor();
  const base = smallModel('bloom', join(folder, 'bloom'));
  const fitting = predictor.fit(rows, {
    tuningData: rows,
    method: methodNamed('unipelt'), // whose files are adapter-hub's, which know no fused matrices
    hyperparameters: { 'model.hf_text.checkpoint_name': base },
  });
  await expect(fitting).rejects.toMatchObject({ code: 'PEFT_FORMAT_UNSUPPORTED' });
  expect(events.filter(({ type }) => type === 'step/completed')).toEqual([]);
  predictor.dispose();
});
