import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TrainEvent } from '@peft/core';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createMlflowLog } from './mlflow-log.js';

interface Asked {
  readonly path: string;
  readonly body: Record<string, unknown>;
}

let server: Server;
let url = '';
let asked: Asked[] = [];
let isRefusing = false;

/** Answers as MLflow's REST API 2.0 does. */
beforeEach(async () => {
  asked = [];
  isRefusing = false;
  server = createServer((request, response) => {
    let text = '';
    request.on('data', (chunk) => (text += chunk));
    request.on('end', () => {
      const path = request.url!.replace('/api/2.0/mlflow/', '');
      asked.push({ path, body: text === '' ? {} : JSON.parse(text) });
      const isMissing = path.startsWith('experiments/get-by-name');
      response.statusCode = statusOf(isMissing);
      response.end(JSON.stringify(answerTo(path)));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
});
afterEach(() => {
  server.closeAllConnections();
  server.close();
});

function statusOf(isMissing: boolean): number {
  if (isRefusing) return 500;
  return isMissing ? 404 : 200;
}

function answerTo(path: string): object {
  if (path === 'experiments/create') return { experiment_id: '7' };
  return path === 'runs/create' ? { run: { info: { run_id: 'r' } } } : {};
}

const base = { runId: 'a' };
const started: TrainEvent = {
  ...base,
  atMs: 1000,
  type: 'run/started',
  modelType: 'bert',
  method: 'lora',
  engine: 'native (bf16)',
  trainableParameters: 1,
  totalParameters: 2,
  plannedSteps: 2,
  plannedEpochs: 1,
};
const step = (at: number, loss: number): TrainEvent => ({
  ...base,
  atMs: 1000 + at,
  type: 'step/completed',
  step: at,
  epoch: 0,
  loss,
  learningRate: 0.1,
  gradientNorm: 1,
  tokens: 50,
  examples: 4,
  durationMs: 500,
});
const ended = (reason: 'completed' | 'failed' | 'aborted'): TrainEvent => ({
  ...base,
  atMs: 9000,
  type: 'run/ended',
  reason,
  step: 2,
  durationMs: 1,
  peakMemoryBytes: 1,
});

describe('an MLflow log', () => {
  it('makes the experiment and the run, and sends parameters, metrics and the end', async () => {
    const log = createMlflowLog({
      url,
      runName: 'out',
      parameters: () => ({ lr: 0.1, task: 'x' }),
    });
    for (const event of [started, step(1, 3), step(2, Number.NaN), ended('completed')])
      await log.listen(event);
    expect(asked.map(({ path }) => path)).toEqual([
      'experiments/get-by-name?experiment_name=peft',
      'experiments/create',
      'runs/create',
      'runs/log-batch',
      'runs/update',
    ]);
    const [, , created, batch, update] = asked.map(({ body }) => body);
    expect(created).toMatchObject({ experiment_id: '7', run_name: 'out', start_time: 1000 });
    expect(batch).toMatchObject({
      run_id: 'r',
      params: [
        { key: 'lr', value: '0.1' },
        { key: 'task', value: 'x' },
      ],
    });
    const metrics = batch!['metrics'] as { key: string; value: number; step: number }[];
    expect(metrics.filter(({ key }) => key === 'train/loss')).toEqual([
      { key: 'train/loss', value: 3, step: 1, timestamp: 1001 },
    ]);
    expect(update).toEqual({ run_id: 'r', status: 'FINISHED', end_time: 9000 });
  });

  it('says how a run ended', async () => {
    for (const [reason, status] of [
      ['failed', 'FAILED'],
      ['aborted', 'KILLED'],
    ] as const) {
      const log = createMlflowLog({ url });
      void log.listen(started);
      void log.listen(ended(reason));
      await log.sent();
      expect(asked.at(-1)!.body['status']).toBe(status);
    }
  });

  it('sends no more than 1,000 metrics and 100 parameters at once', async () => {
    const many = Object.fromEntries(Array.from({ length: 150 }, (_, at) => [`p${at}`, at]));
    const log = createMlflowLog({ url, parameters: () => many });
    void log.listen(started);
    for (let at = 1; at <= 300; at += 1) void log.listen({ ...step(at, 1), atMs: 1000 });
    void log.listen(ended('completed'));
    await log.sent();
    const batches = asked.filter(({ path }) => path === 'runs/log-batch').map(({ body }) => body);
    const sizes = (name: string) => batches.map((body) => ((body[name] ?? []) as unknown[]).length);
    expect(Math.max(...sizes('metrics'))).toBeLessThanOrEqual(1000);
    expect(sizes('metrics').reduce((sum, size) => sum + size, 0)).toBe(300 * 4);
    expect(Math.max(...sizes('params'))).toBeLessThanOrEqual(100);
    expect(sizes('params').reduce((sum, size) => sum + size, 0)).toBe(150);
  });

  it('gives up once where the server refuses, and asks no more', async () => {
    isRefusing = true;
    const log = createMlflowLog({ url });
    await expect(log.listen(started)).rejects.toThrow('does not take the run');
    const before = asked.length;
    await log.listen(step(1, 1));
    await log.listen(ended('completed'));
    expect(asked).toHaveLength(before);
  });

  it('gives up where nobody listens', async () => {
    const log = createMlflowLog({ url: 'http://127.0.0.1:9', timeoutMs: 1000 });
    await expect(log.listen(started)).rejects.toMatchObject({ code: 'PEFT_MLFLOW' });
    await log.sent();
  });
});
