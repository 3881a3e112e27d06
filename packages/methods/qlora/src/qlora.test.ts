import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as tf from '@tensorflow/tfjs';
import { bitfit, lnTuning } from '@peft/bitfit';
import {
  combineMethods,
  describeModel,
  loadModel,
  randomWeights,
  type LoadWeightsOptions,
  type MethodSpec,
  type Model,
  type WeightStore,
} from '@peft/core';
import { loadTokenizer, readTable } from '@peft/data';
import { openCheckpoint } from '@peft/hub';
import { ia3 } from '@peft/ia3';
import { lora } from '@peft/lora';
import { debertaV2, gpt2, llama } from '@peft/models';
import { crossEntropy, type Engine, type FrozenWeight } from '@peft/ops';
import { adamw } from '@peft/optim';
import { createPortableEngine } from '@peft/portable';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { qlora, quantizedBase, saveQuantized } from './index.js';

const LLAMA = {
  model_type: 'llama',
  vocab_size: 40,
  hidden_size: 32,
  intermediate_size: 48,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  max_position_embeddings: 32,
  tie_word_embeddings: false,
};
const GPT2 = {
  model_type: 'gpt2',
  vocab_size: 40,
  n_embd: 32,
  n_layer: 1,
  n_head: 2,
  n_positions: 16,
  n_inner: 48,
  torch_dtype: 'bfloat16',
};
const head = { kind: 'causal-lm' } as const;
const batch = { inputIds: Int32Array.of(3, 9, 27, 4, 11, 33, 2), offsets: Int32Array.of(0, 4, 7) };
const labels = Int32Array.of(9, 27, 4, -100, 33, 2, -100);

let engine: Engine;
beforeAll(async () => {
  engine = await createPortableEngine();
  await engine.activate();
});
afterAll(() => engine.dispose());

const randomLlama = (): WeightStore =>
  randomWeights(describeModel(llama, llama.parseConfig(LLAMA), head), { standardDeviation: 0.2 });
const openLlama = (options: LoadWeightsOptions, store = randomLlama()): Model =>
  owned(loadModel(llama, LLAMA, store, engine, { head, ...options }));
const owned = (model: Model): Model => {
  onTestFinished(() => model.dispose());
  return model;
};
const formats = (model: Model) =>
  Object.fromEntries(
    model.description.parameters.map(({ name }) => [
      name,
      (model.weights.get(name) as FrozenWeight).format ?? 'vector',
    ]),
  );

/** The checkpoint with each quantised weight of `model` in its place, dequantised. */
function dequantisedStore(model: Model): WeightStore {
  const store = randomLlama();
  return {
    names: () => store.names(),
    get(name) {
      const source = store.get(name);
      const format = source && formats(model)[name];
      if (format !== 'nf4' && format !== 'fp4' && format !== 'int8') return source;
      const tensor = model.readBaseParameter(name);
      const bytes = new Uint8Array(Float32Array.from(tensor.dataSync()).buffer);
      tensor.dispose();
      return { ...source!, read: () => bytes };
    },
  };
}

function lossAndGradients(model: Model): { loss: number; gradients: Map<string, Float32Array> } {
  const trained = model.trainables();
  const { value, grads } = tf.tidy(() =>
    tf.variableGrads(
      () => tf.tidy(() => crossEntropy(model.forward(batch).logits!, labels).sum().asScalar()),
      trained.map((parameter) => parameter.value),
    ),
  );
  const result = {
    loss: value.dataSync()[0]!,
    gradients: new Map(
      trained.map(({ name, value: variable }) => [
        name,
        Float32Array.from(grads[variable.name]!.dataSync()),
      ]),
    ),
  };
  tf.dispose([value, grads]);
  return result;
}

describe('a quantised base', () => {
  test('has its linear maps quantised; norms, embeddings and the head stay as they are', () => {
    const model = openLlama(qlora().load);
    const expected = (name: string): string => {
      if (name.includes('norm')) return 'vector';
      return /embed_tokens|lm_head/.test(name) ? 'f32' : 'nf4';
    };
    for (const [name, format] of Object.entries(formats(model)))
      expect(format, name).toBe(expected(name));
  });

  test('leaves modules out that are named', () => {
    const model = openLlama(
      quantizedBase({ format: 'int8', skipModules: ['mlp', 'layers.1.self_attn.q_proj'] }),
    );
    const found = formats(model);
    expect(found['model.layers.0.mlp.up_proj.weight']).toBe('f32');
    expect(found['model.layers.1.self_attn.q_proj.weight']).toBe('f32');
    expect(found['model.layers.0.self_attn.q_proj.weight']).toBe('int8');
  });

  const methods: [string, MethodSpec][] = [
    ['LoRA', lora({ targets: 'all-linear', rank: 4 })],
    ['DoRA', lora({ targets: 'all-linear', rank: 4, dora: true })],
    ['IA3', ia3()],
    ['norms', lnTuning()],
    ['LoRA with a module saved whole', lora({ rank: 2, modulesToSave: ['lm_head'] })],
    ['IA3 with norms', combineMethods('both', ia3(), bitfit({ norms: 'all' }))],
  ];
  test.each(methods)('carries %s as the base with the dequantised values does', (_, method) => {
    for (const format of ['nf4', 'int8'] as const) {
      const quantised = openLlama(quantizedBase({ format }));
      const plain = openLlama({}, dequantisedStore(quantised));
      for (const model of [quantised, plain]) model.addAdapter('default', method, { seed: 3 });
      const [a, b] = [lossAndGradients(quantised), lossAndGradients(plain)];
      expect(Math.abs(a.loss - b.loss)).toBeLessThan(1e-4); // float32 sums in another order
      expect([...a.gradients.keys()]).toEqual([...b.gradients.keys()]);
      for (const [name, gradient] of a.gradients)
        gradient.forEach((value, i) =>
          expect(Math.abs(value - b.gradients.get(name)![i]!), name).toBeLessThan(1e-4),
        );
    }
  });

  test('is merged into through dequantised weights, which is said', () => {
    const model = openLlama(qlora().load);
    model.addAdapter('default', qlora({ rank: 4, init: 'random' }).method);
    const before = tf.tidy(() => model.forward(batch).logits!.dataSync());
    const { warnings } = model.mergeAdapters();
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toContain('14 of the base were quantised'); // 7 linear maps in each of 2 blocks
    const merged = tf.tidy(() => model.forward(batch).logits!.dataSync());
    // logits of about 10
    merged.forEach((value, i) => expect(Math.abs(value - before[i]!)).toBeLessThan(1e-3));
    model.unmergeAdapters();
    expect(tf.tidy(() => model.forward(batch).logits!.dataSync())).toEqual(before);
  });

  test('that is not quantised is merged into without a word', () => {
    const model = openLlama({});
    model.addAdapter('default', lora());
    expect(model.mergeAdapters().warnings).toEqual([]);
  });
});

describe('qlora', () => {
  test('is LoRA on every linear map, on NF4 with quantised maxima, unless told otherwise', () => {
    expect(qlora().load.quantization).toEqual({
      format: 'nf4',
      blockSize: 64,
      doubleQuantization: true,
      skipModules: [],
    });
    expect(qlora().method).toEqual(lora({ targets: 'all-linear' }));
    const { method, load } = qlora({
      rank: 3,
      targets: ['q_proj'],
      quantization: { format: 'fp4', blockSize: 128, doubleQuantization: false },
    });
    expect(method).toEqual(lora({ rank: 3, targets: ['q_proj'] }));
    expect(load.quantization).toMatchObject({
      format: 'fp4',
      blockSize: 128,
      doubleQuantization: false,
    });
  });

  test('refuses options that make no sense', () => {
    expect(() => qlora({ quantization: { format: 'int4' as never } })).toThrow(
      'quantization: format must be one of nf4, fp4, int8, got "int4".',
    );
    expect(() => qlora({ quantization: { blockSize: 100 } })).toThrow(
      'blockSize must be 32, 64, 128, … 4096, got 100',
    );
    expect(() => qlora({ quantization: { blocksize: 64 } as never })).toThrow('blocksize');
    expect(() => qlora({ quantization: { format: 'int8', blockSize: 64 } })).toThrow('blockSize');
    expect(() => qlora({ rank: 0 })).toThrow('lora: rank');
  });

  /** A real encoder, small: 12 steps on the same 12 sentences. */
  test('ends where LoRA ends, within what another seed changes', async () => {
    const here = (path: string) =>
      fileURLToPath(new URL(`../../../../examples/quickstart/${path}`, import.meta.url));
    const table = await readTable(here('data/en_train.tsv'), {
      columns: ['topic', 'text'],
      limit: 12,
    });
    const tokenizer = loadTokenizer(here('model'));
    const classes = [...new Set(table.column('topic'))];
    const rows = table.column('text').map((text, i) => ({
      ids: [...tokenizer.encode(String(text), { maxLength: 32 }).ids],
      label: classes.indexOf(table.column('topic')[i]!),
    }));
    const config = JSON.parse(readFileSync(here('model/config.json'), 'utf8')) as Record<
      string,
      unknown
    >;
    const fast = await nativeEngine();
    const run = async (options: LoadWeightsOptions, seed: number): Promise<number> => {
      const store = openCheckpoint(here('model'));
      const model = loadModel(debertaV2, config, store, fast ?? engine, {
        head: { kind: 'pooled-linear', outputs: classes.length, pooling: 'mean' },
        seed,
        ...options,
      });
      store.close();
      model.addAdapter('default', qlora({ rank: 4 }).method, { seed });
      const parameters = model.trainables().map(({ name, value }) => ({
        name,
        variable: value,
        group: { learningRateScale: 1, weightDecay: 0 },
      }));
      const optimizer = adamw();
      const state = optimizer.init(parameters);
      const losses: number[] = [];
      for (let step = 0; step < 12; step += 1) {
        const offsets = Int32Array.from(
          rows.reduce<number[]>((ends, { ids }) => [...ends, ends.at(-1)! + ids.length], [0]),
        );
        const { value, grads } = tf.tidy(() =>
          tf.variableGrads(
            () =>
              tf.tidy(() =>
                crossEntropy(
                  model.forward({
                    inputIds: Int32Array.from(rows.flatMap(({ ids }) => ids)),
                    offsets,
                  }).logits!,
                  Int32Array.from(rows.map(({ label }) => label)),
                )
                  .mean()
                  .asScalar(),
              ),
            parameters.map(({ variable }) => variable),
          ),
        );
        losses.push(value.dataSync()[0]!);
        await optimizer.update(
          parameters,
          Object.fromEntries(parameters.map(({ name, variable }) => [name, grads[variable.name]!])),
          state,
          { learningRate: 2e-3, gradientScale: 1 },
        );
        tf.dispose([value, grads]);
      }
      state.dispose();
      model.dispose();
      return losses.at(-1)!;
    };
    const [plain, quantised] = [
      await Promise.all([0, 1].map((seed) => run({}, seed))),
      await Promise.all([0, 1].map((seed) => run(qlora().load, seed))),
    ];
    fast?.dispose();
    await engine.activate();
    const mean = (values: number[]) =>
      values.reduce((sum, value) => sum + value, 0) / values.length;
    const noise = Math.abs(plain[0]! - plain[1]!);
    expect(mean(plain)).toBeLessThan(Math.log(classes.length) / 2); // it learnt something
    expect(Math.abs(mean(quantised) - mean(plain))).toBeLessThan(Math.max(noise, 0.05));
  });
});

/** The fast engine, where it was built; active. */
async function nativeEngine(): Promise<Engine | undefined> {
  try {
    const { createNativeEngine } = await import('@peft/native');
    const made = createNativeEngine({ precision: 'float32' });
    await made.activate();
    return made;
  } catch (error) {
    if ((error as { code?: string }).code === 'PEFT_NATIVE_UNAVAILABLE') return undefined;
    throw error;
  }
}

describe('a quantised model that is saved', () => {
  const folderFor = (): string => {
    const folder = mkdtempSync(join(tmpdir(), 'peft-qlora-'));
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
    return folder;
  };
  const reopen = (architecture: typeof llama | typeof gpt2, folder: string): Model => {
    const store = openCheckpoint(folder);
    const model = owned(
      loadModel(
        architecture as never,
        JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8')) as Record<string, unknown>,
        store,
        engine,
        { head },
      ),
    );
    store.close();
    return model;
  };
  const logitsOf = (model: Model) =>
    tf.tidy(() => Array.from(model.forward(batch).logits!.dataSync()));

  test.each([
    quantizedBase(),
    quantizedBase({ format: 'fp4', blockSize: 32, doubleQuantization: false }),
    quantizedBase({ format: 'int8' }),
  ])('is the same model when it is loaded: %j', async (load) => {
    const folder = folderFor();
    const model = openLlama(load);
    expect(await saveQuantized(model, folder)).toEqual(['model.safetensors', 'config.json']);
    const again = reopen(llama, folder);
    expect(formats(again)).toEqual(formats(model));
    expect(logitsOf(again)).toEqual(logitsOf(model));
  });

  test(
    'keeps [in, out] weights that are not quantised in that order, and 16 bits where the ' +
      'config says so',
    async () => {
      const folder = folderFor();
      const store = randomWeights(describeModel(gpt2, gpt2.parseConfig(GPT2), head), {
        dtype: 'BF16',
        standardDeviation: 0.1,
      });
      const model = owned(
        loadModel(gpt2, GPT2, store, engine, {
          head,
          ...quantizedBase({ skipModules: ['mlp.c_proj'] }),
        }),
      );
      await saveQuantized(model, folder);
      const config = JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8')) as {
        quantization_config: { llm_int8_skip_modules: string[] };
      };
      expect(config.quantization_config.llm_int8_skip_modules).toEqual([
        'transformer.h.0.mlp.c_proj',
        'lm_head',
      ]);
      const written = openCheckpoint(folder);
      const name = 'transformer.h.0.mlp.c_proj.weight';
      expect([written.get(name)!.dtype, written.get(name)!.shape]).toEqual(['BF16', [48, 32]]);
      expect(written.get(name)!.read()).toEqual(store.get(name)!.read());
      expect(written.get('transformer.ln_f.weight')!.dtype).toBe('BF16');
      written.close();
      const again = reopen(gpt2, folder);
      expect(logitsOf(again)).toEqual(logitsOf(model));
    },
  );

  test('must be quantised, in one format, and not merged', async () => {
    const plain = openLlama({});
    await expect(saveQuantized(plain, folderFor())).rejects.toMatchObject({
      code: 'PEFT_NOT_QUANTIZED',
    });
    const merged = openLlama(quantizedBase());
    merged.addAdapter('default', lora());
    merged.mergeAdapters();
    await expect(saveQuantized(merged, folderFor())).rejects.toMatchObject({
      code: 'PEFT_ADAPTER_MERGED',
    });
  });
});
