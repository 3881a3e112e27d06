/** `peft fit --mlflow` against a server that keeps what MLflow's REST API 2.0 is told, and its rules. */
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { peft } from './fake-terminal.js';
import { QUICK, tinyLlama, type TinyLlama } from './tiny-llama.js';

interface KeptRun {
  readonly experiment: string;
  readonly name: string;
  readonly startedAtMs: number;
  readonly params: Map<string, string>;
  readonly metrics: { readonly key: string; readonly value: number; readonly step: number }[];
  status: string;
  endedAtMs?: number;
}

/** What is stored by an MLflow server. */
const experiments = new Map<string, string>();
const runs = new Map<string, KeptRun>();
const files = new Map<string, Buffer>();
const refusals: string[] = [];
let takesFiles = true;

type Body = Readonly<Record<string, unknown>>;
interface Entry {
  readonly key: string;
  readonly value: unknown;
  readonly timestamp?: number;
  readonly step?: number;
}
const listOf = (body: Body, name: string) => (body[name] ?? []) as readonly Entry[];

/** Answers of the endpoints that are used; a body that MLflow would refuse is refused. */
const ENDPOINTS: Readonly<Record<string, (body: Body, query: URLSearchParams) => object | number>> =
  {
    'GET experiments/get-by-name': (_, query) => {
      const name = query.get('experiment_name') ?? '';
      const id = experiments.get(name);
      return id === undefined ? 404 : { experiment: { experiment_id: id, name } };
    },
    'POST experiments/create': ({ name }) => {
      if (typeof name !== 'string' || experiments.has(name)) return 400;
      experiments.set(name, String(experiments.size + 1));
      return { experiment_id: experiments.get(name) };
    },
    'POST runs/create': ({ experiment_id: experiment, run_name: name, start_time: start }) => {
      if (![...experiments.values()].includes(experiment as string)) return 404;
      if (!Number.isSafeInteger(start)) return 400;
      const id = `run${runs.size + 1}`;
      const [params, metrics] = [new Map<string, string>(), []];
      runs.set(id, {
        ...{ experiment: experiment as string, name: String(name), startedAtMs: start as number },
        ...{ params, metrics, status: 'RUNNING' },
      });
      const place = `${String(experiment)}/${id}/artifacts`;
      const uri = takesFiles ? `mlflow-artifacts:/${place}` : `s3://bucket/${place}`;
      return { run: { info: { run_id: id, artifact_uri: uri } } };
    },
    'POST runs/log-batch': (body) => {
      const run = runs.get(body['run_id'] as string);
      const [metrics, params] = [listOf(body, 'metrics'), listOf(body, 'params')];
      if (!run || metrics.length > 1000 || params.length > 100) return 400;
      for (const { key, value, timestamp, step } of metrics) {
        if (![value, timestamp, step].every(Number.isFinite)) return 400;
        if (!/^[\w\-. /:]+$/.test(key)) return 400; // what MLflow takes for a name
        run.metrics.push({ key, value: value as number, step: step! });
      }
      for (const { key, value } of params) {
        if (typeof value !== 'string' || run.params.has(key)) return 400;
        run.params.set(key, value);
      }
      return {};
    },
    'POST runs/update': ({ run_id: id, status, end_time: end }) => {
      const run = runs.get(id as string);
      if (!run || !['FINISHED', 'FAILED', 'KILLED'].includes(status as string)) return 400;
      [run.status, run.endedAtMs] = [status as string, end as number];
      return {};
    },
  };

async function answer(request: IncomingMessage): Promise<object | number> {
  const { pathname, searchParams } = new URL(request.url!, 'http://here');
  const artifact = /^\/api\/2\.0\/mlflow-artifacts\/artifacts\/(.+)$/.exec(pathname)?.[1];
  if (artifact && request.method === 'PUT') {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    files.set(decodeURIComponent(artifact), Buffer.concat(chunks));
    return {};
  }
  const written = await text(request);
  const path = pathname.replace('/api/2.0/mlflow/', '');
  const endpoint = ENDPOINTS[`${request.method!} ${path}`];
  return endpoint
    ? endpoint(written === '' ? {} : (JSON.parse(written) as Body), searchParams)
    : 404;
}

let llama: TinyLlama;
let server: Server;
let url = '';
beforeAll(async () => {
  llama = tinyLlama();
  server = createServer((request, response) => {
    void answer(request).then((given) => {
      response.statusCode = typeof given === 'number' ? given : 200;
      if (given === 400) refusals.push(request.url!);
      response.end(JSON.stringify(typeof given === 'number' ? { error_code: 'NO' } : given));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
  llama.remove();
});

const fit = (output: string, ...words: readonly string[]) => {
  const what = ['--task', 'causal-lm', '--model', llama.path, '--tune', llama.chats];
  const named = ['--method', 'lora', '--output', join(llama.folder, output), '--mlflow', url];
  return peft('fit', llama.chats, ...what, ...named, ...QUICK, ...words);
};

it('a fit is a run there, with its settings, curves, end and files', async () => {
  const { code, err } = await fit('kept');
  expect(code, err).toBe(0);
  expect(err).not.toContain('warning');
  const [[id, run]] = [...runs] as [[string, KeptRun]];
  expect(run).toMatchObject({ experiment: experiments.get('peft'), name: 'kept' });
  expect(run.status).toBe('FINISHED');
  expect(run.endedAtMs).toBeGreaterThan(run.startedAtMs);
  expect(run.params.get('optim.peft')).toBe('lora');
  expect(run.params.get('optim.lr')).toBe('0.01');

  // the very numbers of the run's own log
  const log = readFileSync(join(llama.folder, 'kept/events.jsonl'), 'utf8').trim().split('\n');
  const events = log.map((line) => JSON.parse(line) as { type: string } & Record<string, unknown>);
  const told = (type: string, field: string) =>
    events.filter((event) => event.type === type).map((event) => [event['step'], event[field]]);
  const sent = (name: string) =>
    run.metrics.filter(({ key }) => key === name).map(({ step, value }) => [step, value]);
  expect(sent('train/loss').length).toBeGreaterThan(1);
  expect(sent('train/loss')).toEqual(told('step/completed', 'loss'));
  const checks = told('evaluation/completed', 'metrics') as [number, { perplexity: number }][];
  expect(sent('validation/perplexity')).toEqual(
    checks.map(([step, { perplexity }]) => [step, perplexity]),
  );
  for (const path of ['run.json', 'predictor.json', 'adapter/adapter_model.safetensors'])
    expect(files.get(`${run.experiment}/${id}/artifacts/${path}`), path).toEqual(
      readFileSync(join(llama.folder, 'kept', path)),
    );
  expect(refusals).toEqual([]);
});

it('a second fit is another run of the same experiment; a bucket of the server gets no files', async () => {
  takesFiles = false;
  const before = files.size;
  const { code, err } = await fit('further');
  expect(code, err).toBe(0);
  expect(err).toContain('its artifacts lie at s3://bucket/');
  expect(files.size).toBe(before);
  expect([...runs.values()].map(({ name, status }) => [name, status])).toEqual([
    ['kept', 'FINISHED'],
    ['further', 'FINISHED'],
  ]);
  expect(experiments.size).toBe(1);
});
