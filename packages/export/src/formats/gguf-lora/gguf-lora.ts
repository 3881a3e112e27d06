/**
 * A LoRA adapter alone for llama.cpp's `--lora` and node-llama-cpp's `lora`: y += (α/r)·B·A·x beside
 * the GGUF file of its base.
 */
import { join } from 'node:path';
import {
  BLOCK_TYPES,
  ggufTensorBytes,
  namesOf,
  openCheckpoint,
  readFloat32,
  toPairs,
  writeGguf,
  type NewGgufTensor,
  type TensorStore,
} from '@peft/hub';
import type { DecoderConfig } from '@peft/models';
import type { TrainedModel } from '@peft/predictor';
import { defineFormat } from '../../format.js';
import { queryFactor } from '../gguf/model-metadata.js';
import { ggufFamilyOf } from '../gguf/gguf.js';
import { unsupported } from '../unsupported.js';
import { plainLoraOf, scalingOf } from '../../targets/plain-lora.js';

const TYPES = ['F32', 'F16'] as const;

/** `gguf-lora`: the adapter of a LoRA, to be loaded beside its base. */
export const ggufLora = defineFormat({
  name: 'gguf-lora',
  summary: 'a LoRA adapter alone, for llama.cpp --lora and node-llama-cpp',
  types: TYPES,
  isAdapter: true,
  fileExtension: '.gguf',
  prepare(source, { type: given, name }) {
    const type = BLOCK_TYPES[(given ?? TYPES[0]) as (typeof TYPES)[number]];
    const family = ggufFamilyOf(source);
    const tensors = loraTensors(source).map((tensor) => ({ ...tensor, type }));
    const file = `${name}-lora.gguf`;
    return {
      type: type.name,
      totalBytes: tensors.reduce((sum, tensor) => sum + ggufTensorBytes(tensor), 0),
      warnings: [],
      write: (folder, tools) =>
        writeGguf(
          join(folder, file),
          [
            { key: 'general.architecture', type: 'string', value: family.architecture },
            { key: 'general.type', type: 'string', value: 'adapter' },
            { key: 'general.name', type: 'string', value: name },
            { key: 'adapter.type', type: 'string', value: 'lora' },
            { key: 'adapter.lora.alpha', type: 'f32', value: 1 },
          ],
          tensors.map((tensor) => ({
            ...tensor,
            data() {
              tools.tensor(tensor.name, ggufTensorBytes(tensor));
              return tensor.data();
            },
          })),
        ),
      next: (output) => [
        `llama-cli -m BASE.gguf --lora ${output.endsWith('.gguf') ? output : join(output, file)}`,
      ],
    };
  },
});

/** A and B of every place under llama.cpp's names. @throws PEFT_EXPORT_UNSUPPORTED */
function loraTensors(source: TrainedModel): Omit<NewGgufTensor, 'type'>[] {
  const { base, model } = source;
  const { folder, config } = plainLoraOf('gguf-lora', source);
  const family = ggufFamilyOf(source);
  const names = new Map(
    namesOf(family, model.description.layers.decoder).map((name) => [name.huggingFace, name]),
  );
  const { heads, keyValueHeads } = model.config as DecoderConfig;
  const factor = queryFactor(family.architecture, model.config as DecoderConfig);
  const store = openCheckpoint(folder);
  try {
    // PEFT puts a copy of the base's rows beside an adapter on them
    const hasOwnRows = base.vocabulary.size !== base.vocabulary.stored;
    const keys = store.names().filter((key) => hasOwnRows || !key.endsWith('.base_layer.weight'));
    return keys.map((key) => {
      const [, path, letter] = /^base_model\.model\.(.+)\.lora_([AB])\.weight$/.exec(key) ?? [];
      const name = path === undefined ? undefined : names.get(`${path}.weight`);
      if (!name || letter === undefined || name.gguf === 'token_embd.weight')
        throw unsupported('gguf-lora', `has no place for ${key}`, 'use gguf, which merges it');
      const values = readTensor(store, key);
      const { shape } = store.get(key)!;
      const [rank] = store.get(key.replace(/lora_B/, 'lora_A'))!.shape;
      const scale =
        letter === 'A'
          ? 1
          : scalingOf(config, path!, rank!) * rank! * (isScaled(name.gguf) ? factor : 1);
      return {
        name: `${name.gguf}.lora_${letter.toLowerCase()}`,
        shape,
        data: () => {
          const own = scaled(values, scale);
          const rows = shape[0]!;
          if (letter === 'B' && name.form === 'query-pairs') return toPairs(own, heads, rows);
          if (letter === 'B' && name.form === 'key-pairs') return toPairs(own, keyValueHeads, rows);
          return own;
        },
      };
    });
  } finally {
    store.close();
  }
}

const isScaled = (name: string): boolean => name.endsWith('attn_q.weight');

/** α is 1 in the file, so that α/r leaves what B carries. */
const scaled = (values: Float32Array, scale: number): Float32Array =>
  scale === 1 ? values : values.map((value) => value * scale);

const readTensor = (store: TensorStore, key: string): Float32Array =>
  Float32Array.from(readFloat32(store.get(key)!));
