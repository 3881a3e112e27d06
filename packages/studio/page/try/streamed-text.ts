/** A text as it is made, by OpenAI's API. */
import { ApiFailure } from '../state/api.js';

interface Chunk {
  readonly choices?: readonly {
    readonly delta?: { readonly content?: string };
    readonly text?: string;
  }[];
  readonly error?: { readonly message: string };
}

/** @param body with `messages` for an answer, with `prompt` for a continuation. */
export async function streamedText(
  body: Readonly<Record<string, unknown>>,
  onPiece: (text: string) => void,
): Promise<void> {
  const path = 'messages' in body ? 'chat/completions' : 'completions';
  const response = await fetch(`/api/try/v1/${path}`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ ...body, stream: true }),
  });
  if (!response.ok || !response.body) throw await refusal(response);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const lines = (rest + value).split('\n');
    rest = lines.pop()!;
    for (const line of lines) hear(line, onPiece);
  }
}

function hear(line: string, onPiece: (text: string) => void): void {
  const data = /^data: ?(.*)$/.exec(line)?.[1];
  if (data === undefined || data === '[DONE]') return;
  const { choices, error } = JSON.parse(data) as Chunk;
  if (error) throw new ApiFailure('PEFT_STUDIO_TEXT', error.message, undefined);
  const piece = choices?.[0]?.delta?.content ?? choices?.[0]?.text;
  if (piece) onPiece(piece);
}

async function refusal(response: Response): Promise<Error> {
  const { error } = (await response.json()) as { error: { message: string; code?: string } };
  return new ApiFailure(error.code ?? `HTTP ${response.status}`, error.message, undefined);
}
