import { cpSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { openCheckpoint, quantizedStore, readFloat32, writeSafetensors } from '@peft/hub';
import { toBeAllclose, useTemporaryFolder } from '@peft/testing';
import { describe, expect, test } from 'vitest';
import { defineFormat, exportModel, withFormats } from '../src/index.js';
import { expectedTensor, fixtureAdapter, fixtureModel, fixtureQuantized } from './fixtures.js';

expect.extend({ toBeAllclose });
const engine = 'portable';
let folder = '';
useTemporaryFolder((made) => (folder = made));
const output = (name: string): string => join(folder, name);
const to = 'safetensors';

function valuesOf(path: string, name: string): Float32Array {
  const store = openCheckpoint(path);
  try {
    return readFloat32(store.get(name)!);
  } finally {
    store.close();
  }
}

const jsonOf = (path: string, file = 'config.json') =>
  JSON.parse(readFileSync(join(path, file), 'utf8')) as Record<string, unknown>;

describe('weights in 4 bits', () => {
  /** Every tensor's bytes and shape. */
  function stored(path: string): Record<string, unknown> {
    const store = openCheckpoint(path);
    try {
      return Object.fromEntries(
        store.names().map((name) => {
          const { dtype, shape, read } = store.get(name)!;
          return [name, { dtype, shape, bytes: Buffer.from(read()).toString('hex') }];
        }),
      );
    } finally {
      store.close();
    }
  }

  const stateOf = (path: string, name: string): Record<string, unknown> => {
    const { bytes } = stored(path)[name] as { readonly bytes: string };
    return JSON.parse(Buffer.from(bytes, 'hex').toString()) as Record<string, unknown>;
  };
  const closeState = (state: Record<string, unknown>): Record<string, unknown> => ({
    ...state,
    nested_offset: expect.closeTo(state['nested_offset'] as number, 6) as number,
  });

  function dequantized(path: string, name: string): Float32Array {
    const store = openCheckpoint(path);
    try {
      return readFloat32(quantizedStore(store, jsonOf(path)['quantization_config']).get(name)!);
    } finally {
      store.close();
    }
  }

  // golden: the same checkpoint saved by transformers with bitsandbytes
  test('are those of bitsandbytes to the last bit, double quantisation included', async () => {
    const path = output('nf4');
    const result = await exportModel(fixtureModel('llama'), {
      to,
      output: path,
      engine,
      type: 'nf4',
    });
    const golden = fixtureQuantized('llama_nf4_dq');
    // their mean is a sum in another order
    const isMean = (name: string): boolean => /nested_absmax$|quant_state/.test(name);
    const exact = (all: Record<string, unknown>): Record<string, unknown> =>
      Object.fromEntries(Object.entries(all).filter(([name]) => !isMean(name)));
    expect(Object.keys(stored(path))).toEqual(Object.keys(stored(golden)));
    expect(exact(stored(path))).toEqual(exact(stored(golden)));
    for (const name of Object.keys(stored(golden)).filter(isMean))
      if (name.endsWith('nested_absmax'))
        expect(valuesOf(path, name)).toBeAllclose(valuesOf(golden, name), { rtol: 1e-6 });
      else expect(stateOf(path, name)).toEqual(closeState(stateOf(golden, name)));
    const key = 'quantization_config';
    expect(jsonOf(path)[key]).toEqual(jsonOf(golden)[key]);
    expect(result.type).toBe('nf4');
    expect(result.deviation!.relative).toBeGreaterThan(1e-2); // what 4 bits lose
    expect(readFileSync(join(path, 'README.md'), 'utf8')).toContain('stored as nf4');
  });

  test('of FP4 have its codes, with an adapter merged in first', async () => {
    const [plain, merged] = [output('fp4'), output('fp4-merged')];
    const common = { to, engine, type: 'fp4' } as const;
    await exportModel(fixtureModel('mistral'), { ...common, output: plain });
    // bitsandbytes has two codes for zero
    const name = 'model.layers.0.self_attn.q_proj.weight';
    const golden = dequantized(fixtureQuantized('mistral_fp4'), name);
    expect(dequantized(plain, name)).toBeAllclose(golden, { rtol: 0.02 });
    const adapter = fixtureAdapter('oft_llama');
    await exportModel(fixtureModel('llama'), { ...common, output: merged, adapter });
    const again = output('again');
    // read back: the dequantised weights leave as they are
    await exportModel(merged, { to, engine, output: again, type: 'f32' });
    const weight = 'model.layers.1.mlp.down_proj.weight';
    // which a store gives as bfloat16
    expect(valuesOf(again, weight)).toBeAllclose(dequantized(merged, weight), { rtol: 2 ** -8 });
    const expected = expectedTensor('oft_llama', `merged.${weight}`);
    const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    expect(valuesOf(again, weight)).toBeAllclose(expected, { atol: largest / 6 }); // half a step
  });
});

describe('a merged checkpoint', () => {
  // golden: PEFT's merge_and_unload (fixtures' expected.safetensors)
  test.each([
    ['llama', 'oft_llama', 'model.layers.1.mlp.down_proj.weight', undefined],
    ['llama', 'vera_llama', 'model.layers.1.self_attn.o_proj.weight', undefined],
    [
      'qwen3',
      'lora_qwen3_trainable_tokens',
      'lm_head.weight',
      'model.embed_tokens.weight', // tied: written once
    ],
  ])('of %s with %s has the weights that PEFT merges', async (model, adapter, name, stored) => {
    const before = tf.memory().numTensors;
    const path = output(adapter);
    const seen: string[] = [];
    const result = await exportModel(fixtureModel(model), {
      to,
      output: path,
      adapter: fixtureAdapter(adapter),
      engine,
      onProgress: ({ tensor }) => seen.push(tensor),
    });
    expect(tf.memory().numTensors).toBe(before);
    expect(result.type).toBe('f32');
    expect(result.deviation!.relative).toBeLessThan(1e-5);
    expect(valuesOf(path, stored ?? name)).toBeAllclose(expectedTensor(adapter, `merged.${name}`), {
      atol: 1e-6,
    });
    expect(seen.toSorted()).toEqual(openCheckpointNames(path));
    expect(readdirSync(path).sort()).toEqual(result.files.map((file) => file.name));
    expect(readdirSync(path)).toEqual(
      expect.arrayContaining(['README.md', 'config.json', 'tokenizer.json']),
    );
  });

  test('of GPT-2 keeps [in, out], rounds to 16 bits, says so, and comes in shards', async () => {
    const path = output('gpt2');
    const result = await exportModel(fixtureModel('gpt2'), {
      to,
      output: path,
      engine,
      type: 'BF16',
      maxShardBytes: 100_000,
    });
    expect(result.files.map((file) => file.name)).toContain('model-00002-of-00002.safetensors');
    const name = 'transformer.h.0.attn.c_attn.weight';
    const base = valuesOf(fixtureModel('gpt2'), name);
    expect(valuesOf(path, name)).toBeAllclose(base, { rtol: 2 ** -8 });
    expect(jsonOf(path)).toMatchObject({ dtype: 'bfloat16', architectures: ['GPT2LMHeadModel'] });
    expect(result.deviation!.relative).toBeGreaterThan(1e-4);
    expect(readFileSync(join(path, 'README.md'), 'utf8')).toContain('stored as bf16');
  });

  test('of a classifier keeps its head and the number of its labels', async () => {
    const base = output('bert');
    cpSync(fixtureModel('bert'), base, { recursive: true });
    const config = jsonOf(base);
    writeFileSync(
      join(base, 'config.json'),
      JSON.stringify({ ...config, architectures: ['BertForTokenClassification'], num_labels: 3 }),
    );
    const path = output('bert-merged');
    await exportModel(base, { to, output: path, engine });
    expect(jsonOf(path)).toMatchObject({
      architectures: ['BertForTokenClassification'],
      num_labels: 3,
    });
    expect(openCheckpointNames(path)).toContain('classifier.bias');
  });
});

describe('an export that cannot be', () => {
  const refused = async (path: string, promise: Promise<unknown>, code: string) => {
    await expect(promise).rejects.toMatchObject({ code });
    expect(existsSync(path)).toBe(false);
    expect(readdirSync(folder).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  };

  test('is refused before anything is written', async () => {
    const path = output('no');
    const model = fixtureModel('llama');
    const adapter = fixtureAdapter('prefix_llama');
    const common = { output: path, engine } as const;
    await refused(path, exportModel(model, { to, adapter, ...common }), 'PEFT_MERGE_INEXACT');
    await refused(path, exportModel(model, { to: 'ggml', ...common }), 'PEFT_EXPORT_FORMAT');
    await refused(path, exportModel(model, { to, type: 'q9', ...common }), 'PEFT_EXPORT_TYPE');
  });

  test('leaves nothing when it is stopped half way, or a value has no place', async () => {
    const path = output('stopped');
    const controller = new AbortController();
    const stopped = exportModel(fixtureModel('llama'), {
      to,
      output: path,
      engine,
      signal: controller.signal,
      onProgress: ({ doneBytes, totalBytes }) =>
        doneBytes > totalBytes / 2 && controller.abort(new Error('stop')),
    });
    await expect(stopped).rejects.toThrow('stop');
    expect(existsSync(path)).toBe(false);

    const base = await withLargeValue(output('large'));
    await refused(
      path,
      exportModel(base, { to, output: path, engine, type: 'f16' }),
      'PEFT_EXPORT_RANGE',
    );
  });

  test('never replaces what is there', async () => {
    await expect(
      exportModel(fixtureModel('llama'), { to, output: fixtureModel('gpt2'), engine }),
    ).rejects.toMatchObject({ code: 'PEFT_FOLDER_NOT_EMPTY' });
  });
});

test('a third party adds a format', async () => {
  const names = defineFormat({
    name: 'names',
    summary: 'the names of the tensors',
    types: [],
    fileExtension: '.txt',
    prepare: ({ model }) => ({
      type: undefined,
      totalBytes: 1,
      warnings: [],
      async write(place) {
        writeFileSync(join(place, 'names'), model.description.parameters[0]!.name);
      },
    }),
  });
  const path = output('names.txt');
  const result = await exportModel(fixtureModel('gpt2'), {
    to: 'names',
    output: path,
    engine,
    modules: [withFormats(names)],
  });
  expect(readFileSync(path, 'utf8')).toBe('transformer.wte.weight');
  expect(result.files).toEqual([{ name: 'names.txt', bytes: 22 }]);
});

function openCheckpointNames(path: string): string[] {
  const store = openCheckpoint(path);
  try {
    return store.names().sort();
  } finally {
    store.close();
  }
}

/** GPT-2 with a value that float16 cannot hold. */
async function withLargeValue(path: string): Promise<string> {
  cpSync(fixtureModel('gpt2'), path, { recursive: true });
  const store = openCheckpoint(fixtureModel('gpt2'));
  const tensors = store.names().map((name) => {
    const { shape, dtype } = store.get(name)!;
    const data = readFloat32(store.get(name)!);
    if (name.endsWith('ln_f.bias')) data[3] = 70_000;
    return { name, shape, dtype, data };
  });
  store.close();
  await writeSafetensors(join(path, 'model.safetensors'), tensors);
  return path;
}

test.each([
  'mixtral',
  'qwen2_moe',
  'qwen3_moe',
  'olmoe',
  'granitemoe',
  'gpt_oss',
  'deepseek_v3',
] as const)('experts of %s are stored as its checkpoints store them', async (name) => {
  const { deviation } = await exportModel(fixtureModel(name), {
    to,
    type: 'f32',
    output: output(name),
    engine,
  });
  expect(deviation!.largest).toBe(0);
  const [base, written] = [openCheckpoint(fixtureModel(name)), openCheckpoint(output(name))];
  try {
    expect([...written.names()].sort()).toEqual([...base.names()].sort());
    for (const tensor of base.names()) {
      const [before, after] = [base.get(tensor)!, written.get(tensor)!];
      expect(after.shape, tensor).toEqual(before.shape);
      expect(readFloat32(after), tensor).toEqual(readFloat32(before));
    }
  } finally {
    base.close();
    written.close();
  }
});
