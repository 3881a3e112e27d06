import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fromBinary } from '@bufbuild/protobuf';
import * as tf from '@tensorflow/tfjs';
import { ModelProtoSchema } from 'onnx-buf';
import { loadTrainedModel, type TrainedModel } from '@peft/predictor';
import { toBeAllclose, useTemporaryFolder } from '@peft/testing';
import { describe, expect, test } from 'vitest';
import { exportModel, type ExportOptions } from '../src/index.js';
import { fixtureModel } from './fixtures.js';
import { checkpoint, dequantised, oursOf, textsOf } from './onnx-checkpoints.js';
import { savedFolder } from './saved-folder.js';
import {
  openOnnxRuntime,
  runPair,
  runTexts,
  type OrtSession,
  type PaddedBatch,
} from './onnx-runtime.js';

expect.extend({ toBeAllclose });
const engine = 'portable';
const to = 'onnx';
let folder = '';
useTemporaryFolder((made) => (folder = made));

const ort = openOnnxRuntime();
const isLong = process.env['PEFT_LONG_TESTS'] === '1';

const ENCODERS: readonly (readonly [string, string])[] = [
  ['bert', 'ForSequenceClassification'],
  ['roberta', 'ForSequenceClassification'],
  ['distilbert', 'ForSequenceClassification'],
  ['deberta-v2', 'ForSequenceClassification'],
  ['modernbert', 'ForSequenceClassification'],
  ['modernbert-mean', 'ForSequenceClassification'],
  ['bert', 'Model'],
  ['bert', 'ForTokenClassification'],
  ['modernbert', 'Model'],
  ['llama', 'ForSequenceClassification'],
  ['qwen2', 'ForTokenClassification'],
  ...(isLong
    ? ([
        ['electra', 'ForSequenceClassification'],
        ['albert', 'ForSequenceClassification'],
        ['camembert', 'ForSequenceClassification'],
        ['mpnet', 'ForSequenceClassification'],
        ['xlm-roberta', 'ForSequenceClassification'],
        ['xlm-roberta-xl', 'ForSequenceClassification'],
        ['deberta-v2-plain', 'ForSequenceClassification'],
        ['roberta', 'Model'],
        ['roberta', 'ForTokenClassification'],
        ['deberta-v2', 'Model'],
        ['distilbert', 'ForTokenClassification'],
        ['gpt2', 'ForSequenceClassification'],
      ] as const)
    : []),
];
const DECODERS = [
  ...([
    'llama',
    'mistral',
    'qwen2',
    'qwen3',
    'gpt2',
    'gemma2',
    'gemma3',
    'bloom',
    'mixtral',
    'gpt_oss',
    'deepseek_v3',
  ] as const),
  ...(isLong
    ? ([
        'llama-yarn',
        'phi3',
        'gpt_neo',
        'gpt_neox',
        'falcon',
        'mpt',
        'opt',
        'phi',
        'nemotron',
        'starcoder2',
        'stablelm',
        'olmo2',
        'olmo3',
        'smollm3',
        'glm4',
        'granite',
        'cohere2',
        'gemma',
        'qwen2_moe',
        'qwen3_moe',
        'olmoe',
        'granitemoe',
      ] as const)
    : []),
];

const PAIRS = [
  ...(['t5', 'bart', 'marian'] as const),
  ...(isLong ? (['flan-t5', 'mt5', 'umt5', 'mbart', 'pegasus', 'm2m_100'] as const) : []),
];

describe.skipIf(!ort)('onnxruntime-node (skipped where npm has not brought it)', () => {
  const opened = async (path: string, file = 'model.onnx') =>
    ort!.InferenceSession.create(join(path, 'onnx', file), {
      logSeverityLevel: 3,
      intraOpNumThreads: 1,
    });

  /** Exports a checkpoint and runs it beside itself. */
  async function beside(
    base: string,
    run: (source: TrainedModel, session: OrtSession, output: string) => Promise<void>,
    { file, ...options }: Partial<ExportOptions> & { readonly file?: string } = {},
  ): Promise<void> {
    const output = join(folder, `out-${(outputs += 1)}`);
    await exportModel(base, { to, output, engine, ...options });
    const source = await loadTrainedModel(base, { engine });
    const session = await opened(output, file);
    try {
      await run(source, session, output);
    } finally {
      await session.release();
      source.dispose();
    }
  }
  let outputs = 0;

  test.each(ENCODERS)(
    'has the results of %s %s, whatever is beside a text',
    async (name, className) => {
      await beside(checkpoint(folder, name, className), async (source, session) => {
        const texts = textsOf(source);
        const { paddingId = 0 } = source.model.config as { readonly paddingId?: number };
        const { rows } = await runTexts(ort!, session, { texts, side: 'right', paddingId });
        oursOf(source, texts).forEach((row, b) =>
          expect(rows[b]).toBeAllclose(row, { atol: 1e-5 }),
        );
      });
    },
  );

  test.each(['mean', 'cls'] as const)('has the results of a head on the %s state', async (mode) => {
    const settings = { 'model.hf_text.pooling_mode': mode };
    const path = await savedFolder(folder, `${mode}-head`, 'ranking', 'bert', { settings });
    await beside(path, async (source, session, output) => {
      expect(source.model.description.head.kind).toBe('pooled-linear');
      expect(JSON.parse(readFileSync(join(output, 'config.json'), 'utf8'))).toMatchObject({
        architectures: ['BertForSequenceClassification'],
      });
      const texts = textsOf(source);
      const { rows } = await runTexts(ort!, session, { texts, side: 'right', paddingId: 0 });
      oursOf(source, texts).forEach((row, b) => expect(rows[b]).toBeAllclose(row, { atol: 1e-5 }));
    });
  });

  /** Texts of several lengths, and tokens behind them. */
  const goOn = async (base: string): Promise<void> => {
    await beside(base, async (source, session) => {
      const texts = textsOf(source);
      const earlier: PaddedBatch = { texts, side: 'left', paddingId: 0 };
      const first = await runTexts(ort!, session, earlier);
      oursOf(source, texts).forEach((row, b) =>
        expect(first.rows[b]).toBeAllclose(row, { atol: 5e-5 }),
      );
      const added = texts.map((_, b) => [7 + b, 20 + b]);
      const more: PaddedBatch = { texts: added, side: 'left', paddingId: 0 };
      const next = await runTexts(ort!, session, more, { outputs: first.outputs, earlier });
      const longer = texts.map((text, b) => [...text, ...added[b]!]);
      oursOf(source, longer).forEach((row, b) =>
        expect(next.rows[b]).toBeAllclose(row.slice(-next.rows[b]!.length), { atol: 5e-5 }),
      );
    });
  };

  test.each(DECODERS)('goes on from the cache of %s as it would from the text', async (name) => {
    await goOn(checkpoint(folder, name));
  });

  test('goes on where queries, keys and values are bounded', async () => {
    await goOn(
      checkpoint(folder, 'mpt', 'ForCausalLM', { attn_config: { alibi: true, clip_qkv: 0.2 } }),
    );
  });

  test.each(PAIRS)('encodes once and goes on from the cache of %s', async (name) => {
    const base = checkpoint(folder, name);
    const output = join(folder, `pair-${name}`);
    await exportModel(base, { to, output, engine });
    const [encoder, decoder] = [
      await opened(output, 'encoder_model.onnx'),
      await opened(output, 'decoder_model_merged.onnx'),
    ];
    const { model, dispose } = await loadTrainedModel(base, { engine });
    try {
      const { paddingId = 0 } = model.config as { readonly paddingId?: number };
      const texts = [
        [7, 9, 11, 20, 5],
        [8, 6, 30],
      ];
      const batch: PaddedBatch = { texts, side: 'right', paddingId };
      const steps = [
        [
          [2, 15],
          [2, 12],
        ],
        [[40], [33]],
      ];
      const logits = await runPair(ort!, { encoder, decoder }, batch, steps);
      texts.forEach((text, b) => {
        const tokens = steps.flatMap((step) => step[b]!);
        const expected = tf.tidy(() =>
          model
            .forward({
              inputIds: Int32Array.from(text),
              offsets: Int32Array.of(0, text.length),
              decoder: { inputIds: Int32Array.from(tokens), offsets: Int32Array.of(0, 3) },
            })
            .logits!.dataSync<'float32'>(),
        );
        const width = expected.length / 3;
        const found = [
          ...logits[0]!.slice(2 * b * width, 2 * (b + 1) * width),
          ...logits[1]!.slice(b * width, (b + 1) * width),
        ];
        expect(found).toBeAllclose(expected, { atol: 5e-5 });
      });
    } finally {
      dispose();
      await Promise.all([encoder.release(), decoder.release()]);
    }
  });

  test.each(['xlm-roberta', 'bert'] as const)(
    'counts positions from padding ids, and types from a second text, as %s does',
    async (name) => {
      await beside(fixtureModel(name), async (source, session) => {
        const { paddingId = 0 } = source.model.config as { readonly paddingId?: number };
        const text = [6, 7, paddingId, 8, 9];
        const types = name === 'bert' ? [0, 0, 0, 1, 1] : [0, 0, 0, 0, 0];
        const expected = tf.tidy(() =>
          source.model
            .forward({
              inputIds: Int32Array.from(text),
              tokenTypeIds: Int32Array.from(types),
              offsets: Int32Array.of(0, 5),
            })
            .logits!.dataSync<'float32'>(),
        );
        const { rows } = await runTexts(ort!, session, {
          texts: [text, [6]],
          tokenTypes: [types, [0]],
          side: 'right',
          paddingId,
        });
        expect(rows[0]).toBeAllclose(expected, { atol: 1e-5 });
      });
    },
  );

  test('makes the last logits alone where it is asked to', async () => {
    await beside(fixtureModel('qwen2'), async (source, session) => {
      const texts = textsOf(source);
      const batch: PaddedBatch = { texts, side: 'left', paddingId: 0 };
      const { outputs: whole } = await runTexts(ort!, session, batch);
      const { outputs: last } = await runTexts(ort!, session, { ...batch, kept: 1 });
      const [count, length, width] = whole['logits']!.dims as [number, number, number];
      expect(last['logits']!.dims).toEqual([count, 1, width]);
      texts.forEach((_, b) => {
        const end = (b + 1) * length * width;
        expect(last['logits']!.data.slice(b * width, (b + 1) * width)).toBeAllclose(
          whole['logits']!.data.slice(end - width, end),
          { atol: 1e-6 },
        );
      });
    });
  });

  test('reads weights that lie in files of their own', async () => {
    await beside(
      fixtureModel('llama'),
      async (source, session, output) => {
        expect(readdirSync(join(output, 'onnx'))).toEqual([
          'model.onnx',
          'model.onnx_data',
          'model.onnx_data_1',
          'model.onnx_data_2',
          'model.onnx_data_3',
          'model.onnx_data_4',
        ]);
        const texts = textsOf(source);
        const { rows } = await runTexts(ort!, session, { texts, side: 'left', paddingId: 0 });
        oursOf(source, texts).forEach((row, b) =>
          expect(rows[b]).toBeAllclose(row, { atol: 5e-5 }),
        );
      },
      { maxShardBytes: 120_000 },
    );
  });

  test.each(['bert', 'deberta-v2', 'llama', 'gemma3', 'mixtral'] as const)(
    'computes %s in float16 within its rounding',
    async (name) => {
      await beside(
        checkpoint(folder, name),
        async (source, session) => {
          const texts = textsOf(source);
          const side = name === 'bert' || name === 'deberta-v2' ? 'right' : 'left';
          const { rows } = await runTexts(ort!, session, { texts, side, paddingId: 0 });
          oursOf(source, texts).forEach((row, b) => {
            // float16 has 11 bits
            const largest = Math.max(...row.map(Math.abs));
            expect(rows[b]).toBeAllclose(row, { atol: largest * 2 ** -7 });
          });
        },
        { type: 'fp16', file: 'model_fp16.onnx' },
      );
    },
  );

  test.each([
    ['llama', 'q8', 'model_quantized.onnx', 1e-4],
    ['llama', 'q4', 'model_q4.onnx', 1e-4],
    ['llama', 'q4f16', 'model_q4f16.onnx', 0.05],
    ['qwen2', 'q4', 'model_q4.onnx', 1e-4], // its output layer is the table
    ['bert', 'q8', 'model_quantized.onnx', 1e-4],
  ] as const)(
    'computes %s in %s with the values that the codes stand for',
    async (name, type, file, atol) => {
      await beside(
        fixtureModel(name),
        async (source, session, output) => {
          const texts = textsOf(source);
          const side = name === 'bert' ? 'right' : 'left';
          const { rows } = await runTexts(ort!, session, { texts, side, paddingId: 0 });
          const rounded = await loadTrainedModel(
            await dequantised(fixtureModel(name), join(output, 'onnx', file), `${output}-rounded`),
            { engine },
          );
          try {
            oursOf(rounded, texts).forEach((row, b) => expect(rows[b]).toBeAllclose(row, { atol }));
            const [[exact]] = [oursOf(source, texts)];
            expect(exact).not.toEqual(rows[0]);
          } finally {
            rounded.dispose();
          }
        },
        { type, file },
      );
    },
  );

  test('stores the matrices of experts in 8 bits', async () => {
    await beside(
      fixtureModel('mixtral'),
      async (source, session, output) => {
        const path = join(output, 'onnx', 'model_quantized.onnx');
        const names = fromBinary(ModelProtoSchema, readFileSync(path)).graph!.initializer.map(
          ({ name }) => name,
        );
        expect(names).toContain('model.layers.1.mlp.experts.3.gate_up_proj.weight_codes');
        const texts = textsOf(source);
        const { rows } = await runTexts(ort!, session, { texts, side: 'left', paddingId: 0 });
        oursOf(source, texts).forEach((row, b) => {
          // steps of 1/127 of a block's largest, of random signs
          const largest = Math.max(...row.map(Math.abs));
          expect(rows[b]).toBeAllclose(row, { atol: largest * 2 ** -6 });
          expect(rows[b]).not.toBeAllclose(row, { atol: largest * 2 ** -16 });
        });
      },
      { type: 'q8', file: 'model_quantized.onnx' },
    );
  });
});
