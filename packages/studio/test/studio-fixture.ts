/** A studio over a temporary folder, and runs in it as a trainer's run folder writes them. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RunEnded, TrainEvent } from '@peft/core';
import { allFormats } from '@peft/export';
import { createRunFolder, type RunFacts } from '@peft/trainer';
import { ROOT } from '../../../tools/packages.mjs';
import { createStudio, type Studio } from '../src/index.js';

/** The quickstart's model with one layer. */
export const QUICK_MODEL = join(ROOT, 'node_modules/.cache/peft/quick-model');
export const TINY_LLAMA = join(ROOT, 'packages/testing/fixtures/models/llama');

export interface OpenStudio {
  readonly folder: string;
  readonly url: string;
  /** Asks with the studio's token. */
  ask(path: string, init?: RequestInit): Promise<Response>;
  get<T>(path: string): Promise<T>;
  post(path: string, body: unknown): Promise<Response>;
  close(): Promise<void>;
}

/** @param own a folder that is there. Default: a fresh one, which goes with the studio. */
export async function openStudio(own?: string): Promise<OpenStudio> {
  const place = own === undefined ? mkdtempSync(join(tmpdir(), 'peft-studio-')) : undefined;
  const folder = own ?? join(place!, 'runs');
  const studio: Studio = await createStudio({
    folder,
    fitCommand: command('fit'),
    exports: { command: command('export'), formats: allFormats },
    requests: new URL('../../cli/src/studio/run-requests', import.meta.url),
    isSource: true,
  });
  const { url } = await studio.listen();
  const { origin } = new URL(url);
  const ask = (path: string, init: RequestInit = {}): Promise<Response> =>
    fetch(`${origin}${path}`, {
      ...init,
      headers: { ...init.headers, Authorization: `Bearer ${studio.token}` },
    });
  return {
    folder,
    url,
    ask,
    get: async <T>(path: string) => (await (await ask(path)).json()) as T,
    post: (path, body) => ask(path, { method: 'POST', body: JSON.stringify(body) }),
    close: async () => {
      await studio.close();
      if (place !== undefined) rmSync(place, { recursive: true, force: true });
    },
  };
}

const command = (name: string): readonly string[] => [
  process.execPath,
  join(ROOT, 'packages/cli/bin/peft.mjs'),
  name,
];

interface WrittenRun {
  readonly path: string;
  readonly facts?: RunFacts;
  readonly steps?: number;
  /** undefined: it still runs, in this process. */
  readonly reason?: RunEnded['reason'];
  readonly error?: RunEnded['error'];
  readonly metrics?: Readonly<Record<string, number>>;
}

/** Writes a run's folder through the listener that fits write it with. */
export async function writeRun(run: WrittenRun): Promise<void> {
  const { path, facts = {}, steps = 3, reason, error, metrics = { accuracy: 0.5 } } = run;
  const base = { runId: path, atMs: Date.now() };
  const folder = createRunFolder(path);
  folder.describe(facts);
  const events: TrainEvent[] = [
    { ...base, type: 'memory/planned', peakBytes: 2e8, usableBytes: 4e9, changes: [] },
    {
      ...base,
      type: 'run/started',
      modelType: 'bert',
      method: 'lora',
      engine: 'portable (float32)',
      trainableParameters: 10,
      totalParameters: 100,
      plannedSteps: 12,
      plannedEpochs: 2,
    },
    ...Array.from({ length: steps }, (_, at): TrainEvent => ({
      ...base,
      type: 'step/completed',
      step: at + 1,
      epoch: 0,
      loss: 1 / (at + 1),
      learningRate: 0.1,
      gradientNorm: 1,
      tokens: 50,
      examples: 4,
      durationMs: 500,
    })),
    {
      ...base,
      type: 'evaluation/completed',
      step: steps,
      epoch: 0,
      metrics,
      examples: 4,
      durationMs: 1,
      isBest: true,
    },
  ];
  if (reason)
    events.push({
      ...base,
      type: 'run/ended',
      reason,
      step: steps,
      durationMs: 100,
      peakMemoryBytes: 1e8,
      error,
    });
  for (const event of events) await folder.listen(event);
}
