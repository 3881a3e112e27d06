/** What a method of somebody else's gets from the toolkit without a line changed in it. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { PeftPredictor, withMethods } from '@peft/predictor';
import { describePeftMethod } from '@peft/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ssf } from './ssf.js';

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const MODEL = here('../../node_modules/.cache/peft/quick-model');
const PLUGIN = here('./ssf.ts');

/** The same number added to every score of a query: softmax does not see it. */
const withoutGradient = /(key|Attention\.k)\.ssf_shift$/;

describePeftMethod(
  ssf,
  [
    { title: 'where every layer has a bias', on: ['encoder'], withoutGradient },
    { title: 'where none has', on: ['encoder-decoder', 'decoder'], merges: false, withoutGradient },
    {
      title: 'with noise at the start',
      options: { standardDeviation: 0.02 },
      on: ['encoder'],
      identityAtStart: false,
      withoutGradient,
    },
    {
      title: 'on queries alone',
      options: { targets: { roles: ['attention.query'] } },
      merges: false,
      on: ['decoder'],
    },
  ],
  {
    badOptions: [{ options: { standardDeviation: -1 }, message: 'ssf: standardDeviation must be' }],
  },
);

test('is a method in at most 60 lines', () => {
  expect(readFileSync(PLUGIN, 'utf8').trimEnd().split('\n').length).toBeLessThanOrEqual(60);
});

describe('in the toolkit', () => {
  let folder: string;
  const rows = Array.from({ length: 24 }, (_, i) => ({
    topic: i % 2 ? 'sports' : 'health',
    text: i % 2 ? `the team won match ${i}` : `the doctor saw patient ${i}`,
  }));
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'peft-ssf-'));
    writeFileSync(
      join(folder, 'train.tsv'),
      rows.map(({ topic, text }) => `${topic}\t${text}\n`).join(''),
    );
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  test('registers in the container: a predictor trains it, saves it and has it back', async () => {
    const registered = withMethods(ssf);
    const path = join(folder, 'predictor');
    const predictor = new PeftPredictor({ label: 'topic', path, modules: [registered] });
    const settings = {
      'model.hf_text.checkpoint_name': MODEL,
      'optim.max_epochs': 1,
      'optim.lr': 1e-2,
      'env.batch_size': 8,
      'env.engine': 'portable',
    } as const;
    await predictor.fit(rows, { method: ssf(), hyperparameters: settings });
    const expected = await predictor.predictProba(rows.slice(0, 4));
    predictor.dispose();
    expect(
      JSON.parse(readFileSync(join(path, 'adapter', 'adapter_config.json'), 'utf8')),
    ).toMatchObject({ peft_type: 'SSF', standardDeviation: 0 });

    const loaded = await PeftPredictor.load(path, { engine: 'portable', modules: [registered] });
    expect(await loaded.predictProba(rows.slice(0, 4))).toEqual(expected);
    loaded.dispose();
    await expect(PeftPredictor.load(path, { engine: 'portable' })).rejects.toMatchObject({
      code: 'PEFT_METHOD_UNKNOWN',
    });
  });

  const peft = (...words: string[]) =>
    execFileSync(process.execPath, [here('../../packages/cli/bin/peft.mjs'), ...words], {
      cwd: folder,
      encoding: 'utf8',
    });

  test('is counted by peft inspect --plugin', () => {
    const report = JSON.parse(
      peft(
        'inspect',
        join(MODEL, 'config.json'),
        '--method',
        'ssf',
        '--plugin',
        PLUGIN,
        '--head',
        'none',
        '--json',
      ),
    ) as { methods: { method: string; trainable: number }[]; layers: { encoder: number } };
    const {
      num_hidden_layers: layers,
      hidden_size: width,
      intermediate_size: inner,
    } = JSON.parse(readFileSync(join(MODEL, 'config.json'), 'utf8')) as Record<
      'num_hidden_layers' | 'hidden_size' | 'intermediate_size',
      number
    >;
    // γ and β of query, key, value, attention output and both feed-forward maps.
    expect(report.methods).toMatchObject([
      { method: 'ssf', trainable: layers * 2 * (5 * width + inner) },
    ]);
  });

  test('is trained by peft fit --plugin, and used by peft predict --plugin', () => {
    const summary = JSON.parse(
      peft(
        'fit',
        'train.tsv',
        '--columns',
        'topic,text',
        '--label',
        'topic',
        '--model',
        MODEL,
        '--method',
        'ssf',
        '--plugin',
        PLUGIN,
        '--epochs',
        '1',
        '--batch-size',
        '8',
        '--engine',
        'portable',
        '--output',
        'fitted',
        '--json',
      ),
    ) as { steps: number };
    expect(summary.steps).toBeGreaterThan(0);
    const lines = peft(
      'predict',
      'fitted',
      '--text',
      'the team won',
      '--plugin',
      PLUGIN,
      '--engine',
      'portable',
      '--json',
    )
      .trim()
      .split('\n');
    expect(['sports', 'health']).toContain((JSON.parse(lines[0]!) as { label: string }).label);
  });

  test('is unknown to the command without --plugin, which says so', () => {
    const { status, stderr } = spawnSync(
      process.execPath,
      [
        here('../../packages/cli/bin/peft.mjs'),
        'inspect',
        join(MODEL, 'config.json'),
        '--method',
        'ssf',
      ],
      { encoding: 'utf8' },
    );
    expect(status).not.toBe(0);
    expect(stderr).toContain('there is no method "ssf"');
    expect(stderr).toContain('--plugin');
  });
});
