/**
 * Times the studio over many long runs: `node tools/run-source.mjs benchmarks/studio.ts [--runs 500]
 * [--events 100000] [--json]`. The runs' logs are one file under many names. Where a Chromium is
 * installed (PEFT_CHROMIUM, /usr/bin/chromium), also how long the page takes to show list and curve.
 */
import { existsSync, linkSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { TrainEvent } from '@peft/core';
import { createStudio } from '@peft/studio';
import { createRunFolder } from '@peft/trainer';

const { values: options } = parseArgs({
  options: {
    runs: { type: 'string', default: '500' },
    events: { type: 'string', default: '100000' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
if (options.help) {
  console.log('benchmarks/studio.ts [--runs 500] [--events 100000] [--json]');
  process.exit(0);
}
const CHROMIUM = process.env['PEFT_CHROMIUM'] ?? '/usr/bin/chromium';
const folder = mkdtempSync(join(tmpdir(), 'peft-studio-bench-'));
try {
  await writeRuns(Number(options.runs), Number(options.events));
  const figures = await measure();
  if (options.json) console.log(JSON.stringify(figures));
  else
    for (const [name, milliseconds] of Object.entries(figures))
      console.log(`${name}: ${Math.round(milliseconds)} ms`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}

async function writeRuns(runs: number, events: number): Promise<void> {
  const log = join(folder, 'log');
  const base = { runId: 'a', atMs: 0 };
  const step = (at: number): TrainEvent => ({
    ...base,
    type: 'step/completed',
    atMs: at * 100,
    step: at,
    epoch: 0,
    loss: 2 + Math.sin(at / 1000),
    learningRate: 1e-4,
    gradientNorm: 1 + (at % 7),
    tokens: 512,
    examples: 8,
    durationMs: 100,
  });
  const started: TrainEvent = {
    ...base,
    type: 'run/started',
    modelType: 'bert',
    method: 'lora',
    engine: 'native (bf16)',
    trainableParameters: 1e5,
    totalParameters: 1e8,
    plannedSteps: events,
    plannedEpochs: 1,
  };
  const ended: TrainEvent = {
    ...base,
    type: 'run/ended',
    reason: 'completed',
    step: events,
    durationMs: 1,
    peakMemoryBytes: 1e9,
  };
  const lines = [started, ...Array.from({ length: events }, (_, at) => step(at + 1)), ended];
  writeFileSync(log, lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
  for (let run = 0; run < runs; run += 1) {
    const path = join(folder, 'runs', `run-${run}`);
    const record = createRunFolder(path);
    await record.listen({ ...started, atMs: run });
    await record.listen({ ...ended, atMs: run + 1 });
    rmSync(join(path, 'events.jsonl'));
    linkSync(log, join(path, 'events.jsonl'));
  }
  mkdirSync(join(folder, 'runs'), { recursive: true });
}

async function measure(): Promise<Record<string, number>> {
  const studio = await createStudio({
    folder: join(folder, 'runs'),
    fitCommand: ['false'],
    requests: new URL('../packages/cli/src/studio/run-requests', import.meta.url),
    isSource: true,
  });
  try {
    const { url } = await studio.listen();
    const { origin } = new URL(url);
    const headers = { Authorization: `Bearer ${studio.token}` };
    const timed = async (path: string): Promise<number> => {
      const began = performance.now();
      await (await fetch(`${origin}${path}`, { headers })).text();
      return performance.now() - began;
    };
    const figures: Record<string, number> = {
      'list of runs': await timed('/api/runs'),
      'a curve, the first time': await timed('/api/series?run=run-0'),
      'the same curve again': await timed('/api/series?run=run-0'),
    };
    return existsSync(CHROMIUM) ? { ...figures, ...(await pageTimes(url)) } : figures;
  } finally {
    await studio.close();
  }
}

/** In a browser that has just begun, and once more in the same one. */
async function pageTimes(url: string): Promise<Record<string, number>> {
  const { chromium } = await import('playwright-core');
  const browser = await chromium.launch({
    executablePath: CHROMIUM,
    args: ['--no-sandbox', '--disable-gpu', '--no-first-run'],
  });
  try {
    const timed = async (): Promise<number> => {
      const page = await browser.newPage();
      await page.goto('about:blank');
      const began = performance.now();
      await page.goto(url);
      await page.locator('.plot canvas').first().waitFor();
      return performance.now() - began;
    };
    return {
      'the page, until its curve shows': await timed(),
      'the same, in a browser that is warm': await timed(),
    };
  } finally {
    await browser.close();
  }
}
