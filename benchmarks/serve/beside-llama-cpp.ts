/** Our server and llama.cpp on the same weights, in turn. */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { exportModel } from '@peft/export';
import { atOnce, complete } from './completion-client.js';
import { promptOf, type Report, type Subject } from './measurements.js';

const CHILD = fileURLToPath(new URL('./llama-cpp-child.mjs', import.meta.url));
/** Tokens that a text may have in llama.cpp. */
const CONTEXT = 1024;

export interface Comparison {
  /** Folder of the checkpoint that the server has. */
  readonly model: string;
  /** Where the same model lies, or goes, as a GGUF file. */
  readonly folder: string;
  /** Type of that file: `BF16`, `Q8_0` … */
  readonly type: string;
  readonly threads: number;
  readonly clients: readonly number[];
  readonly promptTokens: number;
  readonly tokens: number;
  readonly rounds: number;
}

interface Measured {
  readonly firstMs: number;
  readonly tokensPerSecond: number;
}

/**
 * Time to the first token and tokens/s of both, the prompts alike, in turn and each first to warm up.
 * @throws where PEFT_CONSUMERS names no folder with node-llama-cpp
 */
export async function besideLlamaCpp(subject: Subject, how: Comparison): Promise<Report[]> {
  const gguf = join(how.folder, `${how.type}.gguf`);
  if (!existsSync(gguf))
    await exportModel(how.model, { to: 'gguf', type: how.type, output: gguf, probe: false });
  const child = await started(gguf, how);
  try {
    const reports: Report[] = [];
    for (const clients of how.clients) {
      const prompts = (round: number) =>
        Array.from({ length: clients }, (_, n) => [
          ...promptOf(subject, 100 * round + n, how.promptTokens),
        ]);
      const ours: Measured[] = [];
      const theirs: Measured[] = [];
      for (let round = 0; round <= how.rounds; round += 1) {
        ours.push(await measureOurs(subject, prompts(round), how.tokens));
        theirs.push(await measureTheirs(child, prompts(round), how.tokens));
      }
      reports.push(...compared(clients, how, ours.slice(1), theirs.slice(1)));
    }
    return reports;
  } finally {
    child.kill();
  }
}

async function started(gguf: string, { threads, clients }: Comparison): Promise<ChildProcess> {
  const library = join(
    process.env['PEFT_CONSUMERS'] ?? process.cwd(),
    'node_modules/node-llama-cpp/dist/index.js',
  );
  if (!existsSync(library))
    throw new Error('bench:serve: PEFT_CONSUMERS must name a folder with node-llama-cpp');
  const numbers = [threads, Math.max(...clients), CONTEXT].map(String);
  const child = fork(CHILD, [library, gguf, ...numbers], { execArgv: [] });
  await once(child, 'message');
  return child;
}

async function measureOurs(
  { url, models: [model] }: Subject,
  prompts: readonly (readonly number[])[],
  maxTokens: number,
): Promise<Measured> {
  const began = performance.now();
  const made = await atOnce(
    prompts.length,
    prompts.map((prompt) => () => complete(url, { model: model!, prompt, maxTokens })),
  );
  return measured(
    made.map(({ tokenMs }) => tokenMs.map((at) => at - began)),
    (performance.now() - began) / 1000,
  );
}

async function measureTheirs(
  child: ChildProcess,
  prompts: readonly (readonly number[])[],
  tokens: number,
): Promise<Measured> {
  child.send({ prompts, tokens });
  const [{ texts, seconds }] = (await once(child, 'message')) as [
    { readonly texts: readonly (readonly number[])[]; readonly seconds: number },
  ];
  return measured(texts, seconds);
}

const measured = (texts: readonly (readonly number[])[], seconds: number): Measured => ({
  firstMs: median(texts.map(([first]) => first!)),
  tokensPerSecond: texts.reduce((sum, { length }) => sum + length, 0) / seconds,
});

function compared(
  clients: number,
  { type }: Comparison,
  ours: readonly Measured[],
  theirs: readonly Measured[],
): Report[] {
  const of = (all: readonly Measured[], key: keyof Measured) => median(all.map((one) => one[key]));
  const ratio = (key: keyof Measured) =>
    median(ours.map((one, round) => one[key] / theirs[round]![key]));
  const two = (value: number) => Number(value.toPrecision(3));
  return [
    {
      'at once': clients,
      'llama.cpp on': type,
      'first token, ms': two(of(ours, 'firstMs')),
      'its first token, ms': two(of(theirs, 'firstMs')),
      'ours / its': two(ratio('firstMs')),
      'tokens/s': two(of(ours, 'tokensPerSecond')),
      'its tokens/s': two(of(theirs, 'tokensPerSecond')),
      'ours / its tokens/s': two(ratio('tokensPerSecond')),
    },
  ];
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
}
