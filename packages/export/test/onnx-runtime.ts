/**
 * onnxruntime-node and @huggingface/transformers, where they are: in the repository's node_modules,
 * or in those of the folder that PEFT_CONSUMERS names (`npm i --ignore-scripts onnxruntime-node
 * @huggingface/transformers` there).
 */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

type Numbers = Float32Array | Uint16Array | BigInt64Array;
export interface OrtTensor {
  readonly type: string;
  readonly data: Float32Array;
  readonly dims: readonly number[];
}
interface Port {
  readonly name: string;
  readonly type: string;
  readonly shape: readonly (number | string)[];
}
export interface OrtSession {
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  readonly inputMetadata: readonly Port[];
  run(feeds: Readonly<Record<string, OrtTensor>>): Promise<Record<string, OrtTensor>>;
  release(): Promise<void>;
}
/** What the tests use of its API. */
export interface OnnxRuntime {
  readonly InferenceSession: {
    create(path: string, options: object): Promise<OrtSession>;
  };
  readonly Tensor: new (type: string, data: Numbers, dims: readonly number[]) => OrtTensor;
}
/** Some give a list, feature extraction a tensor. */
type Pipe = (
  text: string,
  options?: object,
) => Promise<Record<string, unknown>[] & { readonly data: Float32Array }>;
export interface Transformers {
  readonly env: { allowRemoteModels: boolean; localModelPath: string };
  pipeline(task: string, folder: string, options?: object): Promise<Pipe>;
}

const consumers = process.env['PEFT_CONSUMERS'] ?? process.cwd();

/** Undefined where it is not installed. */
export function openOnnxRuntime(): OnnxRuntime | undefined {
  if (!existsSync(join(consumers, 'node_modules/onnxruntime-node'))) return undefined;
  const require = createRequire(join(consumers, 'package.json'));
  return require('onnxruntime-node') as OnnxRuntime;
}

/** Undefined where it is not installed. */
export async function openTransformers(): Promise<Transformers | undefined> {
  const path = join(consumers, 'node_modules/@huggingface/transformers/dist/transformers.node.mjs');
  if (!existsSync(path)) return undefined;
  return (await import(pathToFileURL(path).href)) as Transformers;
}

/** A batch of texts of different lengths, each filled up to the longest. */
export interface PaddedBatch {
  readonly texts: readonly (readonly number[])[];
  /** Where the padding is. */
  readonly side: 'left' | 'right';
  readonly paddingId: number;
  readonly tokenTypes?: readonly (readonly number[])[];
  /** Logits of the last tokens alone; default of all. */
  readonly kept?: number;
}

/** Results of each text's tokens `[text][token · width]`, or of each text; and the whole output. */
export interface OrtResult {
  readonly rows: readonly Float32Array[];
  readonly outputs: Readonly<Record<string, OrtTensor>>;
}

/**
 * Runs a session on texts.
 * @param past outputs of the run on the texts so far, and their mask.
 */
export async function runTexts(
  ort: OnnxRuntime,
  session: OrtSession,
  batch: PaddedBatch,
  past?: { readonly outputs: OrtResult['outputs']; readonly earlier: PaddedBatch },
): Promise<OrtResult> {
  const { texts, tokenTypes } = batch;
  const length = longest(batch);
  const whole = (values: Numbers, ...dims: number[]): OrtTensor =>
    new ort.Tensor('int64', values, dims);
  const own = maskOf(batch);
  const mask = past ? maskOf(past.earlier).map((row, b) => [...row, ...own[b]!]) : own;
  const given: Record<string, OrtTensor> = {
    input_ids: whole(padded(batch, texts, batch.paddingId), texts.length, length),
    attention_mask: whole(integers(mask.flat()), texts.length, mask[0]!.length),
    token_type_ids: whole(
      padded(batch, tokenTypes ?? texts.map(() => []), 0),
      texts.length,
      length,
    ),
    num_logits_to_keep: whole(integers([batch.kept ?? 0])),
  };
  const feeds = Object.fromEntries(
    session.inputMetadata.map(({ name, type, shape }) => [
      name,
      given[name] ??
        past?.outputs[name.replace('past_key_values', 'present')] ??
        emptyPast(ort, type, shape, texts.length),
    ]),
  );
  const outputs = await session.run(feeds);
  const { data, dims } = outputs['logits'] ?? outputs['last_hidden_state']!;
  const width = dims.at(-1)!;
  const rows = texts.map((text, b) => {
    if (dims.length === 2) return data.slice(b * width, (b + 1) * width);
    const start = b * length + (batch.side === 'left' ? length - text.length : 0);
    return data.slice(start * width, (start + text.length) * width);
  });
  return { rows, outputs };
}

/**
 * Runs an encoder on texts, and the decoder step by step.
 * @param steps the decoder's tokens of each text, as many of each in a step.
 * @returns logits of each step `[step][text · token · V]`.
 */
export async function runPair(
  ort: OnnxRuntime,
  { encoder, decoder }: { readonly encoder: OrtSession; readonly decoder: OrtSession },
  batch: PaddedBatch,
  steps: readonly (readonly (readonly number[])[])[],
): Promise<Float32Array[]> {
  const { texts } = batch;
  const whole = (values: Numbers, ...dims: number[]): OrtTensor =>
    new ort.Tensor('int64', values, dims);
  const mask = whole(integers(maskOf(batch).flat()), texts.length, longest(batch));
  const { last_hidden_state: states } = await encoder.run({
    input_ids: whole(padded(batch, texts, batch.paddingId), texts.length, longest(batch)),
    attention_mask: mask,
  });
  let past: Readonly<Record<string, OrtTensor>> = {};
  const logits: Float32Array[] = [];
  for (const tokens of steps) {
    const given: Record<string, OrtTensor> = {
      input_ids: whole(integers(tokens.flat()), tokens.length, tokens[0]!.length),
      encoder_hidden_states: states!,
      encoder_attention_mask: mask,
      num_logits_to_keep: whole(integers([0])),
    };
    const feeds = decoder.inputMetadata.map(({ name, type, shape }) => [
      name,
      given[name] ??
        past[name.replace('past_key_values', 'present')] ??
        emptyPast(ort, type, shape, texts.length),
    ]);
    past = await decoder.run(Object.fromEntries(feeds) as Record<string, OrtTensor>);
    logits.push(past['logits']!.data);
  }
  return logits;
}

const longest = ({ texts }: PaddedBatch): number => Math.max(...texts.map((text) => text.length));
const integers = (values: readonly number[]): BigInt64Array => BigInt64Array.from(values, BigInt);

function padded(
  { texts, side }: PaddedBatch,
  values: readonly (readonly number[])[],
  filling: number,
): BigInt64Array {
  const length = Math.max(...texts.map((text) => text.length));
  return integers(
    texts.flatMap((text, b) => {
      const row = text.map((_, t) => values[b]![t] ?? filling);
      const rest = new Array<number>(length - text.length).fill(filling);
      return side === 'left' ? [...rest, ...row] : [...row, ...rest];
    }),
  );
}

const maskOf = (batch: PaddedBatch): number[][] =>
  batch.texts.map((text) => {
    const rest = new Array<number>(longest(batch) - text.length).fill(0);
    const row = new Array<number>(text.length).fill(1);
    return batch.side === 'left' ? [...rest, ...row] : [...row, ...rest];
  });

/** No tokens yet. */
function emptyPast(
  ort: OnnxRuntime,
  type: string,
  shape: readonly (number | string)[],
  texts: number,
): OrtTensor {
  const sizeOf = (axis: string) => (axis === 'batch_size' ? texts : 0);
  const dims = shape.map((size) => (typeof size === 'string' ? sizeOf(size) : size));
  return new ort.Tensor(type, type === 'float16' ? new Uint16Array(0) : new Float32Array(0), dims);
}
