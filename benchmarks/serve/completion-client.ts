/** A client of `/v1/completions` that notes when tokens come. */

/** What is asked for: greedy texts. */
export interface CompletionRequest {
  readonly model: string;
  readonly prompt: readonly number[];
  readonly maxTokens: number;
}

export interface Completion {
  /** Token by token: its text, and ln p of it, which tells texts of adapters apart to the bit. */
  readonly tokens: readonly { readonly text: string; readonly logProbability: number }[];
  readonly finishReason: string;
  readonly beganMs: number;
  /** When each token came, on the clock of `performance.now`. */
  readonly tokenMs: readonly number[];
}

interface Chunk {
  readonly error?: { readonly message: string };
  readonly choices?: readonly {
    readonly finish_reason: string | null;
    readonly logprobs: {
      readonly tokens: readonly string[];
      readonly token_logprobs: readonly number[];
    } | null;
  }[];
}

/** Reads a streamed text to its end. @throws what the server answers instead */
export async function complete(
  url: string,
  { model, prompt, maxTokens }: CompletionRequest,
  onToken: () => void = () => undefined,
): Promise<Completion> {
  const beganMs = performance.now();
  const answer = await fetch(`${url}/v1/completions`, {
    method: 'POST',
    body: JSON.stringify({
      model,
      prompt,
      max_tokens: maxTokens,
      temperature: 0,
      logprobs: 0,
      stream: true,
    }),
  });
  if (answer.status !== 200) throw new Error(`${answer.status}: ${await answer.text()}`);
  const tokens: Completion['tokens'][number][] = [];
  const tokenMs: number[] = [];
  let finishReason: string | undefined;
  let isDone = false;
  for await (const data of events(answer.body!)) {
    if (data === '[DONE]') {
      isDone = true;
      break;
    }
    const { error, choices = [] } = JSON.parse(data) as Chunk;
    if (error) throw new Error(error.message);
    for (const { finish_reason, logprobs } of choices) {
      logprobs?.tokens.forEach((text, i) => {
        tokens.push({ text, logProbability: logprobs.token_logprobs[i]! });
        tokenMs.push(performance.now());
        onToken();
      });
      finishReason = finish_reason ?? finishReason;
    }
  }
  if (!isDone || finishReason === undefined) throw new Error('a stream ended before its text');
  return { tokens, finishReason, beganMs, tokenMs };
}

async function* events(body: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let buffered = '';
  for await (const bytes of body) {
    buffered += decoder.decode(bytes, { stream: true });
    const lines = buffered.split('\n\n');
    buffered = lines.pop()!;
    for (const line of lines) yield line.replace(/^data: /, '');
  }
}

/** Runs tasks, `count` at once. @returns their results in the order of the tasks */
export async function atOnce<T>(count: number, tasks: readonly (() => Promise<T>)[]): Promise<T[]> {
  const results: T[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let at = next++; at < tasks.length; at = next++) results[at] = await tasks[at]!();
  };
  await Promise.all(Array.from({ length: count }, worker));
  return results;
}
