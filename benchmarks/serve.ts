/**
 * A server under load: `npm run bench:serve -- --part load|speed|stall|adapters|llama.cpp [--arch llama-small]
 * [--adapters 4] [--clients 32] [--requests 1000] [--at-once 1,4,16,32] [--tokens 32] [--folder PLACE]
 * [--engine native] [--precision bfloat16] [--threads 2] [--json]`.
 *
 * Random weights of a config's shape, LoRA adapters of rank 16 on all linear layers. The server and
 * its clients share a process, whose event loop both use; the model has its own thread. `--folder`
 * keeps the checkpoint for the next part.
 *
 * - `load`: requests of the model and all adapters, one by one and by all clients; answers are compared.
 * - `speed`: tokens/s and time to the first token, of the model alone and of all adapters in turn.
 * - `stall`: what running streams and the event loop notice of a prompt of 2,048 tokens.
 * - `adapters`: memory over loads and unloads.
 * - `llama.cpp`: time to the first token and tokens/s beside node-llama-cpp of the folder that
 *   PEFT_CONSUMERS names, on the same weights as `--gguf-type`, in turn over `--rounds`.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import { createServer } from '@peft/server';
import { besideLlamaCpp } from './serve/beside-llama-cpp.js';
import { configPath } from './peers/shapes.js';
import {
  load,
  loadsAndUnloads,
  speed,
  stall,
  type Report,
  type Subject,
} from './serve/measurements.js';
import { servedCheckpoint } from './serve/served-checkpoint.js';

const { values: options } = parseArgs({
  options: {
    part: { type: 'string', default: 'load' },
    arch: { type: 'string', default: 'llama-small' },
    adapters: { type: 'string', default: '4' },
    clients: { type: 'string', default: '32' },
    requests: { type: 'string', default: '1000' },
    'at-once': { type: 'string', default: '1,4,16,32' },
    tokens: { type: 'string', default: '32' },
    'prompt-tokens': { type: 'string', default: '128' },
    'gguf-type': { type: 'string', default: 'BF16' },
    rounds: { type: 'string', default: '3' },
    'prefill-tokens': { type: 'string', default: '256' },
    folder: { type: 'string' },
    engine: { type: 'string', default: 'native' },
    precision: { type: 'string' },
    threads: { type: 'string' },
    json: { type: 'boolean', default: false },
  },
});

const folder = options.folder ?? mkdtempSync(join(tmpdir(), 'bench-serve-'));

const PARTS: Readonly<Record<string, (subject: Subject) => Promise<readonly Report[]>>> = {
  load: async (subject) => [await load(subject, Number(options.clients), Number(options.requests))],
  speed: async (subject) => {
    const reports: Report[] = [];
    for (const models of [subject.models.slice(0, 1), subject.models])
      for (const clients of options['at-once'].split(',').map(Number)) {
        await speed(subject, clients, models, 4); // buffers of this size are there then
        reports.push(await speed(subject, clients, models, Number(options.tokens)));
      }
    return reports;
  },
  stall: async (subject) => [await stall(subject, Number(options['prefill-tokens']))],
  'llama.cpp': (subject) =>
    besideLlamaCpp(subject, {
      model: join(folder, 'model'),
      folder,
      type: options['gguf-type'],
      threads: Number(options.threads ?? 2),
      clients: options['at-once'].split(',').map(Number),
      promptTokens: Number(options['prompt-tokens']),
      tokens: Number(options.tokens),
      rounds: Number(options.rounds),
    }),
  adapters: async (subject) => [await loadsAndUnloads(subject, 'lora-0', Number(options.requests))],
};

const part = PARTS[options.part];
if (!part)
  throw new Error(
    `bench:serve: --part must be one of ${Object.keys(PARTS).join(', ')}, got ${options.part}`,
  );
try {
  const { model, adapters, vocabularySize } = await servedCheckpoint(
    configPath(options.arch),
    folder,
    Number(options.adapters),
  );
  const server = await createServer({
    model,
    adapters,
    adapterRoot: folder,
    engine: options.engine,
    precision: options.precision,
    threads: options.threads === undefined ? undefined : Number(options.threads),
    prefillTokens: Number(options['prefill-tokens']),
  });
  const { url } = await server.listen({ port: 0 });
  const models = [basename(model), ...Object.keys(adapters)];
  try {
    print(await part({ url, models, vocabularySize }));
  } finally {
    await server.close();
  }
} finally {
  if (options.folder === undefined) rmSync(folder, { recursive: true, force: true });
}

function print(reports: readonly Report[]): void {
  if (options.json) return console.log(JSON.stringify(reports));
  const names = Object.keys(reports[0]!);
  const row = (cells: readonly unknown[]): string => `| ${cells.join(' | ')} |`;
  console.log(row(names));
  console.log(row(names.map(() => '---')));
  for (const report of reports) console.log(row(Object.values(report)));
}
