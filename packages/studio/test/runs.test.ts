/** Every kind of run opens, and no request leaves the folder. */
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { get as httpGet } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ErrorBody, RunDetails, RunLine, RunSeries } from '../src/api-types.js';
import { openStudio, writeRun, type OpenStudio } from './studio-fixture.js';

const { Request: ownRequest, Response: ownResponse } = globalThis;
let studio: OpenStudio;
beforeAll(async () => {
  studio = await openStudio();
});
afterAll(() => studio.close());

const inFolder = (...names: string[]): string => join(studio.folder, ...names);
const listed = async (): Promise<readonly RunLine[]> =>
  (await studio.get<{ runs: RunLine[] }>('/api/runs')).runs;
const details = (id: string): Promise<RunDetails> =>
  studio.get(`/api/run?run=${encodeURIComponent(id)}`);
const series = (id: string): Promise<RunSeries> =>
  studio.get(`/api/series?run=${encodeURIComponent(id)}`);
const refusal = async (response: Response): Promise<string> =>
  ((await response.json()) as ErrorBody).error.code;

const TASKS = {
  classification: { accuracy: 0.7 },
  regression: { root_mean_squared_error: 1.5 },
  'token-classification': { entity_f1: 0.4 },
  'causal-lm': { perplexity: 12 },
  seq2seq: { perplexity: 9 },
  embeddings: { mean_reciprocal_rank: 0.3 },
} as const;

it("a studio leaves the application's Request and Response as they are", () => {
  expect(globalThis.Request).toBe(ownRequest);
  expect(globalThis.Response).toBe(ownResponse);
});

describe('runs in a studio', () => {
  it.each(Object.entries(TASKS))('of %s open with curves and settings', async (task, metrics) => {
    await writeRun({
      path: inFolder('tasks', task),
      facts: { settings: { task, 'optim.lr': 0.1 } },
      reason: 'completed',
      metrics,
    });
    const id = `tasks/${task}`;
    expect(await listed()).toContainEqual(expect.objectContaining({ id, state: 'completed' }));
    expect(await details(id)).toMatchObject({
      best: { metrics },
      settings: { task, 'optim.lr': 0.1, method: 'lora' },
    });
    expect(await series(id)).toMatchObject({
      recordedSteps: 3,
      checks: [{ metrics }],
      memory: { plannedPeakBytes: 2e8 },
      peakMemoryBytes: 1e8,
    });
  });

  it('that failed say why, and how they go on', async () => {
    await writeRun({
      path: inFolder('failed'),
      facts: { request: { train: '/data/a table.tsv', label: 'topic', output: '/elsewhere' } },
      reason: 'failed',
      error: { code: 'PEFT_MEMORY_EXHAUSTED', message: 'no memory' },
    });
    const failed = await details('failed');
    expect(failed).toMatchObject({ state: 'failed', error: { code: 'PEFT_MEMORY_EXHAUSTED' } });
    expect(failed.resumeCommand).toMatch(
      /peft fit '\/data\/a table.tsv' --label topic --output \S+failed --resume$/,
    );
    expect(failed.resumeCommand).toContain(studio.folder);
  });

  it('whose process is gone are interrupted; those of another process run', async () => {
    await writeRun({ path: inFolder('running') });
    await writeRun({ path: inFolder('killed') });
    const file = inFolder('killed', 'run.json');
    const record = JSON.parse(readFileSync(file, 'utf8')) as object;
    writeFileSync(file, JSON.stringify({ ...record, processId: 2 ** 22 + 1 }));
    expect((await details('killed')).state).toBe('interrupted');
    expect((await details('running')).state).toBe('running');
    if (process.platform === 'linux')
      expect((await details('running')).residentBytes).toBeGreaterThan(1e6);
  });

  it('of former versions, and damaged ones, are shown for what they are', async () => {
    mkdirSync(inFolder('former'));
    writeFileSync(
      inFolder('former', 'predictor.json'),
      JSON.stringify({
        settings: { 'optim.lr': 3 },
        summary: { metric: 'accuracy', validationScore: 0.9, steps: 8, method: 'ia3' },
      }),
    );
    mkdirSync(inFolder('damaged'));
    writeFileSync(inFolder('damaged', 'run.json'), '{');
    expect(await details('former')).toMatchObject({
      state: 'completed',
      score: 0.9,
      settings: { 'optim.lr': 3 },
    });
    expect((await series('former')).recordedSteps).toBe(0);
    expect((await details('damaged')).state).toBe('unreadable');
  });

  it('are stopped only where a process that fits is behind them', async () => {
    // this process is no fit
    const response = await studio.post('/api/stop', { run: 'running' });
    expect(response.status).toBe(400);
    expect(await refusal(response)).toBe('PEFT_STUDIO_PROCESS');
  });

  it('appear, and what they write is told, while the page is open', async () => {
    const controller = new AbortController();
    const response = await studio.ask('/api/live?run=running', { signal: controller.signal });
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    let heard = '';
    const hear = async (what: string): Promise<void> => {
      while (!heard.includes(what)) heard += (await reader.read()).value ?? '';
    };
    await hear('event: ready');
    await writeRun({ path: inFolder('running') });
    await hear('event: run\ndata: running');
    await writeRun({ path: inFolder('appeared') });
    await hear('event: runs\n');
    controller.abort();
  });
});

it('pages take turns in being told what changes: a browser has few connections', async () => {
  const controller = new AbortController();
  const { signal } = controller;
  const open = async (): Promise<ReadableStreamDefaultReader<string>> => {
    const { body } = await studio.ask('/api/live', { signal });
    const reader = body!.pipeThrough(new TextDecoderStream()).getReader();
    expect((await reader.read()).value).toContain('retry: 2000');
    return reader;
  };
  const [first, ...later] = [await open(), await open(), await open(), await open()];
  while (!(await first!.read()).done); // ends, so that the browser opens it again
  await writeRun({ path: inFolder('later') });
  for (const reader of later)
    for (let heard = ''; !heard.includes('event: runs\n');) {
      const { value, done } = await reader.read();
      expect(done).toBe(false);
      heard = value ?? '';
    }
  controller.abort();
});

describe('a studio', () => {
  it('asks for its token, and keeps it out of the page’s address', async () => {
    const { origin, search } = new URL(studio.url);
    for (const path of ['/', '/?token=wrong', '/page.js', '/api/runs'])
      expect((await fetch(`${origin}${path}`)).status).toBe(401);
    const entered = await fetch(`${origin}/${search}`, { redirect: 'manual' });
    expect([entered.status, entered.headers.get('location')]).toEqual([303, '/']);
    const cookie = entered.headers.get('set-cookie')!;
    expect(cookie).toMatch(/HttpOnly; SameSite=Strict$/);
    const page = await fetch(`${origin}/`, { headers: { cookie: cookie.split(';')[0]! } });
    expect(page.status).toBe(200);
    expect(page.headers.get('content-security-policy')).toContain("default-src 'none'");
  });

  it('answers no other host name and no other page', async () => {
    const { hostname, port } = new URL(studio.url);
    const status = (headers: Record<string, string>): Promise<number> =>
      new Promise((resolve, reject) => {
        httpGet({ hostname, port, path: '/api/runs', headers }, (response) => {
          response.resume();
          resolve(response.statusCode!);
        }).on('error', reject);
      });
    expect(await status({ host: 'evil.example' })).toBe(421);
    expect(
      (await studio.ask('/api/runs', { headers: { origin: 'http://evil.example' } })).status,
    ).toBe(403);
  });

  it.each(['..', '../..', '/etc', 'a/../../..', 'linked', 'no-such-run', '..%2f..'])(
    'reaches nothing outside its folder by %j',
    async (id) => {
      if (id === 'linked') symlinkSync(tmpdir(), inFolder('linked'), 'junction');
      for (const path of ['run', 'series']) {
        const response = await studio.ask(`/api/${path}?run=${encodeURIComponent(id)}`);
        expect(response.status).toBe(400);
        expect(await refusal(response)).toBe('PEFT_STUDIO_RUN');
      }
    },
  );

  it('refuses what is no request', async () => {
    for (const body of [[], 'text', { run: 1 }])
      expect(await refusal(await studio.post('/api/stop', body))).toBe('PEFT_STUDIO_REQUEST');
    expect((await studio.ask('/api/none')).status).toBe(404);
    expect((await studio.ask('/../../package.json')).status).toBe(404);
  });
});
