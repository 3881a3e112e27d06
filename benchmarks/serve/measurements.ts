/** What is measured of a server, each as a report of names and values. */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { atOnce, complete, type Completion, type CompletionRequest } from './completion-client.js';

export type Report = Readonly<Record<string, string | number>>;

/** A server that runs in this process, so that its event loop is this one's. */
export interface Subject {
  readonly url: string;
  /** The model's name and those of its adapters. */
  readonly models: readonly string[];
  readonly vocabularySize: number;
}

/** Tokens of each prompt of `speed`. */
const SHORT_PROMPT = 16;
const LONG_PROMPT = 2048;

/**
 * Every request alone, then all of them by `clients` at once: none may be lost, and each must be the
 * same, token by token and to the bit of its probabilities.
 */
export async function load(subject: Subject, clients: number, count: number): Promise<Report> {
  const requests = Array.from({ length: count }, (_, n) => ({
    model: subject.models[n % subject.models.length]!,
    prompt: promptOf(subject, n, 1 + ((n * 31) % 90)),
    maxTokens: 1 + ((n * 17) % 24),
  }));
  const tasks = requests.map((request) => () => complete(subject.url, request));
  const alone = await timed(1, tasks);
  const before = settledRss();
  const together = await timed(clients, tasks);
  const half = settledRss();
  await timed(clients, tasks);
  const after = settledRss();
  const differing = requests.filter(
    (_, n) => textOf(alone.made[n]!) !== textOf(together.made[n]!),
  ).length;
  const texts = new Set(alone.made.map(textOf)).size;
  return {
    requests: count,
    clients,
    'texts that differ from each other': texts,
    'lost or mixed up': differing,
    'tokens/s one by one': round(alone.tokensPerSecond),
    'tokens/s together': round(together.tokensPerSecond),
    'RSS before, MB': megabytes(before),
    'RSS after them together, MB': megabytes(half),
    'RSS after them once more, MB': megabytes(after),
  };
}

/** Texts of `tokens` tokens by one client, and by `clients` at once; `models` in turn. */
export async function speed(
  subject: Subject,
  clients: number,
  models: readonly string[],
  tokens: number,
): Promise<Report> {
  const tasks = Array.from({ length: clients }, (_, n) => {
    const prompt = promptOf(subject, n, SHORT_PROMPT);
    return () =>
      complete(subject.url, { model: models[n % models.length]!, prompt, maxTokens: tokens });
  });
  const { made, tokensPerSecond } = await timed(clients, tasks);
  const firsts = made.map(({ beganMs, tokenMs }) => tokenMs[0]! - beganMs).sort((a, b) => a - b);
  return {
    'at once': clients,
    models: models.length,
    'tokens/s': round(tokensPerSecond),
    'once all run': round(steadyRate(made)),
    'median time to first token, ms': round(firsts[Math.floor(firsts.length / 2)]!),
    'longest, ms': round(firsts.at(-1)!),
  };
}

/** What running streams and the event loop notice of a long prompt. */
export async function stall(subject: Subject, prefillTokens: number): Promise<Report> {
  const delays = monitorEventLoopDelay({ resolution: 1 });
  const others = 4;
  let isReading = false;
  const passed = new Array<number>(others).fill(0);
  let begun = 0;
  let start!: () => void;
  const allBegun = new Promise<void>((resolve) => (start = resolve));
  const finished = new AbortController();
  const streams = Array.from({ length: others }, async (_, n) => {
    const request: CompletionRequest = {
      model: subject.models[n % subject.models.length]!,
      prompt: promptOf(subject, n, SHORT_PROMPT),
      maxTokens: 256,
    };
    while (!finished.signal.aborted) {
      let isFirst = true;
      await complete(subject.url, request, () => {
        if (isFirst && (begun += 1) === others) start();
        isFirst = false;
        if (isReading) passed[n]! += 1;
      });
    }
  });
  await allBegun;
  const long = {
    model: subject.models[0]!,
    prompt: promptOf(subject, others, LONG_PROMPT),
    maxTokens: 1,
  };
  delays.enable();
  isReading = true;
  const { beganMs, tokenMs } = await complete(subject.url, long, () => (isReading = false));
  delays.disable();
  finished.abort();
  await Promise.all(streams);
  return {
    'tokens of the prompt': LONG_PROMPT,
    pieces: Math.ceil(LONG_PROMPT / prefillTokens),
    'fewest tokens of another stream meanwhile': Math.min(...passed),
    'time to its first token, ms': round(tokenMs[0]! - beganMs),
    "p50 of the event loop's delay, ms": round(delays.percentile(50) / 1e6),
    'p99, ms': round(delays.percentile(99) / 1e6),
    'longest, ms': round(delays.max / 1e6),
  };
}

/** An adapter that is loaded, used and unloaded, again and again. */
export async function loadsAndUnloads(
  subject: Subject,
  lora_path: string,
  count: number,
): Promise<Report> {
  const post = async (path: string, body: object): Promise<void> => {
    const answer = await fetch(`${subject.url}/v1/${path}`, {
      method: 'POST',
      body: JSON.stringify(body),
    });
    const text = await answer.text();
    if (answer.status !== 200) throw new Error(text);
  };
  const readings: number[] = [];
  for (let n = 0; n < count; n += 1) {
    const lora_name = `of-a-while-${n}`;
    await post('load_lora_adapter', { lora_name, lora_path });
    await complete(subject.url, {
      model: lora_name,
      prompt: promptOf(subject, n, SHORT_PROMPT),
      maxTokens: 2,
    });
    await post('unload_lora_adapter', { lora_name });
    if ((n + 1) % Math.ceil(count / 10) === 0) readings.push(megabytes(settledRss()));
  }
  return { 'loads and unloads': count, 'RSS after each tenth, MB': readings.join(', ') };
}

async function timed(
  clients: number,
  tasks: readonly (() => Promise<Completion>)[],
): Promise<{ readonly made: readonly Completion[]; readonly tokensPerSecond: number }> {
  const began = performance.now();
  const made = await atOnce(clients, tasks);
  const seconds = (performance.now() - began) / 1000;
  const tokens = made.reduce((sum, { tokens: { length } }) => sum + length, 0);
  return { made, tokensPerSecond: tokens / seconds };
}

/** Tokens/s between the last text's first token and the first text's last. */
function steadyRate(made: readonly Completion[]): number {
  const from = Math.max(...made.map(({ tokenMs }) => tokenMs[0]!));
  const to = Math.min(...made.map(({ tokenMs }) => tokenMs.at(-1)!));
  const tokens = made.flatMap(({ tokenMs }) => tokenMs.filter((at) => at > from && at <= to));
  return tokens.length / ((to - from) / 1000);
}

const textOf = ({ tokens, finishReason }: Completion): string =>
  JSON.stringify([tokens, finishReason]);

/** Ids that differ from prompt to prompt. */
export const promptOf = ({ vocabularySize }: Subject, n: number, length: number): number[] =>
  Array.from({ length }, (_, t) => 5 + ((n * 104_729 + t * 7919) % (vocabularySize - 10)));

/** Memory that the process holds, garbage of the clients and of the server's thread apart. */
function settledRss(): number {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
  return process.memoryUsage.rss();
}

const round = (value: number): number => Math.round(value * 10) / 10;
const megabytes = (bytes: number): number => Math.round(bytes / 1e6);
