/**
 * Checks a merge: the same tokens before and after it. What a merge cannot hold exactly shows as a
 * deviation of the results.
 */
import { hasDeviceMemory, randomKey, randomUniform, type Engine } from '@peft/ops';
import type { ModelDescription } from '../../description/model-description.js';
import type { ModelBatch, ModelOutput } from '../architecture.js';

/** How far the merged model's results lie from those with the adapter beside the model. */
export interface MergeDeviation {
  /** The largest difference of a result. */
  readonly largest: number;
  /** The same as a share of the largest result. */
  readonly relative: number;
}

/** How a merge went. */
export interface MergeResult {
  /** Undefined for a model that reads no tokens, which has no probe. */
  readonly deviation: MergeDeviation | undefined;
  /** What to tell the user: that quantised weights were merged into, that results changed. */
  readonly warnings: readonly string[];
}

/** Above what rounding brings, also in a model that computes in 16 bits. */
const LARGEST_DEVIATION = 0.05;

/** Tokens of the sequences of the probe. */
const LENGTHS = [7, 4];

/**
 * Two sequences of random tokens that end as the model's texts do; undefined for a model that reads
 * no tokens.
 */
export function probeBatch(
  { sites, vocabularySize, maxPositions = Infinity, head }: ModelDescription,
  config: Readonly<Record<string, unknown>>,
): ModelBatch | undefined {
  if (!sites.some(({ role }) => role === 'embedding.word') || vocabularySize < 1) return undefined;
  const lengths = LENGTHS.map((length) => Math.min(length, maxPositions));
  const total = lengths.reduce((sum, length) => sum + length, 0);
  const offsets = Int32Array.of(0, lengths[0]!, total);
  const key = randomKey('merge probe');
  const inputIds = Int32Array.from({ length: total }, (_, n) =>
    Math.floor(randomUniform(key, n) * vocabularySize),
  );
  const end = config['eos_token_id'];
  if (typeof end === 'number' && end >= 0 && end < vocabularySize)
    for (const last of offsets.slice(1)) inputIds[last - 1] = end;
  return {
    inputIds,
    offsets,
    decoder: head.kind === 'seq2seq-lm' ? { inputIds, offsets } : undefined,
  };
}

/** What the probe compares; the caller disposes of the output. */
export const probedValues = ({ logits, hidden }: ModelOutput): Float32Array =>
  Float32Array.from((logits ?? hidden).dataSync()); // once before a merge, once after

/** @param merged results of the merged model, as many as `active` has */
export function deviationOf(active: Float32Array, merged: Float32Array): MergeDeviation {
  let [largest, scale] = [0, 0];
  active.forEach((value, i) => {
    largest = Math.max(largest, Math.abs(value - merged[i]!));
    scale = Math.max(scale, Math.abs(value));
  });
  return { largest, relative: scale > 0 ? largest / scale : largest };
}

/** @param quantized names of quantised weights that were merged into */
export function mergeWarnings(
  quantized: readonly string[],
  deviation: MergeDeviation | undefined,
  engine: Pick<Engine, 'name' | 'backendName'>,
): string[] {
  const warnings: string[] = [];
  if (quantized.length)
    warnings.push(
      `merged into dequantised weights: ${quantized.length} of the base were quantised and ` +
        `are float32 now (${quantized[0]}${quantized.length > 1 ? ' …' : ''}). They carry ` +
        `the base's rounding; merge into the unquantised checkpoint for the best weights.`,
    );
  if (deviation && !(deviation.relative <= LARGEST_DEVIATION))
    warnings.push(
      `the merged model's results on a probe batch differ from those with the adapter by ` +
        `${(100 * deviation.relative).toPrecision(2)} % of the largest; keep the adapter ` +
        'beside the model where that matters.',
    );
  if (hasDeviceMemory(engine))
    warnings.push(
      `how far the merged model's results lie from those with the adapter was not measured: the ` +
        `engine ${engine.name} computes on a device, which cannot be read in the middle of a merge.`,
    );
  return warnings;
}
