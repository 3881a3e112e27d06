/** Checkpoints that the tests of ONNX export, and what the models themselves make of texts. */
import {
  copyFileSync,
  cpSync,
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { fromBinary } from '@bufbuild/protobuf';
import * as tf from '@tensorflow/tfjs';
import { ModelProtoSchema, type TensorProto } from 'onnx-buf';
import { openCheckpoint, readFloat32, writeSafetensors } from '@peft/hub';
import { decodeFloat32 } from '@peft/ops';
import type { TrainedModel } from '@peft/predictor';
import { fixtureModel } from './fixtures.js';

/** Ids of three texts, none of which is the padding. */
export function textsOf({ model: { config, description } }: TrainedModel): number[][] {
  const { paddingId = 0 } = config as { readonly paddingId?: number };
  return [5, 9, 2].map((length, b) =>
    Array.from({ length }, (_, t) => {
      const id = 5 + ((t * 37 + b * 11) % (description.vocabularySize - 6));
      return id === paddingId ? id + 1 : id;
    }),
  );
}

/**
 * A fixture, with a tokenizer where it has none, and under another class, whose head has seeded
 * values where the file has none.
 * @param folder where copies go.
 * @param fields what the config says otherwise.
 */
export function checkpoint(
  folder: string,
  name: string,
  className?: string,
  fields: Readonly<Record<string, unknown>> = {},
): string {
  const fixture = fixtureModel(name);
  const hasTokenizer = existsSync(join(fixture, 'tokenizer.json'));
  if (hasTokenizer && className === undefined) return fixture;
  const copy = join(folder, `${name}-as-${className ?? 'it-is'}`);
  cpSync(fixture, copy, { recursive: true });
  for (const file of ['tokenizer.json', 'tokenizer_config.json'])
    if (!hasTokenizer) copyFileSync(join(fixtureModel('mistral'), file), join(copy, file));
  if (className !== undefined) {
    const config = JSON.parse(readFileSync(join(copy, 'config.json'), 'utf8')) as object;
    const named = { ...config, ...fields, architectures: [`Any${className}`] };
    writeFileSync(join(copy, 'config.json'), JSON.stringify(named));
  }
  return copy;
}

/** What the model itself makes of each text. */
export const oursOf = (
  { model }: TrainedModel,
  texts: readonly (readonly number[])[],
): Float32Array[] =>
  texts.map((text) =>
    tf.tidy(() => {
      const inputIds = Int32Array.from(text);
      const { logits, hidden } = model.forward({
        inputIds,
        offsets: Int32Array.of(0, text.length),
      });
      return Float32Array.from((logits ?? hidden).dataSync());
    }),
  );

/** A checkpoint of the values that a file's codes stand for. */
export async function dequantised(base: string, path: string, output: string): Promise<string> {
  const { graph } = fromBinary(ModelProtoSchema, readFileSync(path));
  const found = new Map(graph!.initializer.map((tensor) => [tensor.name, tensor]));
  cpSync(base, output, { recursive: true });
  const store = openCheckpoint(base);
  const tensors = [...store.names()].map((name) => {
    const source = store.get(name)!;
    const values = Float32Array.from(readFloat32(source));
    const codes = found.get(`${name}_codes`);
    if (codes) fillFromCodes(values, source.shape, codes, found.get(`${name}_scales`)!);
    return { name, dtype: 'F32' as const, shape: source.shape, data: values };
  });
  store.close();
  for (const file of readdirSync(output).filter((name) =>
    /\.safetensors(\.index\.json)?$/.test(name),
  ))
    rmSync(join(output, file));
  await writeSafetensors(join(output, 'model.safetensors'), tensors);
  return output;
}

function fillFromCodes(
  values: Float32Array,
  [, columns = 0]: readonly number[],
  { rawData: codes, dims }: TensorProto,
  { rawData: scaleBytes, dataType }: TensorProto,
): void {
  const [, blocks, bytes] = dims.map(Number) as [number, number, number];
  const scales = decodeFloat32(Uint8Array.from(scaleBytes), dataType === 10 ? 'F16' : 'F32');
  values.forEach((_, n) => {
    const [row, column] = [Math.floor(n / columns), n % columns];
    const block = row * blocks + Math.floor(column / 32);
    const within = column % 32;
    const byte = codes[block * bytes + (bytes === 32 ? within : within >> 1)]!;
    const code = bytes === 32 ? byte - 128 : ((byte >> (4 * (within & 1))) & 15) - 8;
    values[n] = code * scales[block]!;
  });
}
