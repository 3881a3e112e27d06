/**
 * Builds the decoder of a `tokenizer.json`: tokens → text. Most parts are those of
 * `@huggingface/tokenizers`.
 */
import { decodeByteFallback } from './byte-fallback.js';
import { decodeByteLevel } from './byte-level.js';
import { unsupportedComponent } from './component-error.js';
import type { ComponentJson } from '../tokenizer-json.js';
import { SequenceDecoder } from '../tokenizers-library.js';

/**
 * Makes the function that joins tokens into a text.
 * @param json the `decoder` entry; null joins tokens with spaces.
 * @throws PEFT_TOKENIZER_UNSUPPORTED for an unknown type.
 */
export function createDecoder(
  json: ComponentJson | null | undefined,
): (tokens: readonly string[]) => string {
  if (!json) return (tokens) => tokens.join(' ');
  const parts = json.type === 'Sequence' ? ((json.decoders ?? []) as ComponentJson[]) : [json];
  const steps = parts.map(createStep);
  return (tokens) =>
    steps.reduce<readonly string[]>((result, step) => step(result), tokens).join('');
}

function createStep(json: ComponentJson): (tokens: readonly string[]) => readonly string[] {
  if (json.type === 'ByteLevel') return (tokens) => [decodeByteLevel(tokens)];
  if (json.type === 'ByteFallback') return decodeByteFallback;
  if (json.type === 'Metaspace') return metaspace(json);
  try {
    const decoder = new SequenceDecoder({ type: 'Sequence', decoders: [json] });
    return (tokens) => (tokens.length === 0 ? [] : decoder.decode_chain([...tokens]));
  } catch {
    throw unsupportedComponent('decoder', json.type);
  }
}

/**
 * Marks become spaces; those of the first token vanish, all of them, unless none is put in front
 * when encoding.
 */
function metaspace(json: ComponentJson): (tokens: readonly string[]) => readonly string[] {
  const mark = String(json.replacement ?? '▁');
  const never =
    json.prepend_scheme === 'never' ||
    (json.prepend_scheme === undefined && json.add_prefix_space === false);
  return (tokens) => tokens.map((token, i) => token.replaceAll(mark, i === 0 && !never ? '' : ' '));
}
