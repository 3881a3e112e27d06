/**
 * bitsandbytes: code books, vectors quantised by an engine, int8 rows, and checkpoints in 4 and 8
 * bits with LoRA trained on them.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor2D } from '@tensorflow/tfjs';
import { loadAdapter, peftFormat, type Model } from '@peft/core';
import { openSafetensors, readFloat32, readTensor } from '@peft/hub';
import {
  codeBook,
  dequantize4Bit,
  dequantizeBlockwise,
  dynamicMap,
  expandAbsmax,
  quantizeBlockwise,
  quantizeInt8Rows,
  type Engine,
  type QuantizedParts,
  type TensorSource,
} from '@peft/ops';
import { adamw, clipByGlobalNorm, globalNorm } from '@peft/optim';
import { saveQuantized } from '@peft/qlora';
import { Comparison } from '../comparison.js';
import { readGoldenCase, type GoldenContext, type GoldenResult } from '../golden-case.js';
import { methods } from '../methods.js';
import {
  comparedOf,
  isKnownModel,
  openModel,
  packTask,
  taskLoss,
  type Task,
  type TaskBatch,
} from '../task.js';

interface FourBitCase {
  readonly id: string;
  readonly input: string;
  readonly quant_type: 'nf4' | 'fp4';
  readonly blocksize: number;
  readonly double_quant: boolean;
}
interface EightBitCase {
  readonly id: string;
  readonly input: string;
  readonly signed: boolean;
  readonly blocksize: number;
}
interface CheckpointCase {
  readonly task: Task;
  readonly bits: 4 | 8;
  readonly batch: TaskBatch;
  readonly training?: {
    readonly lr: number;
    readonly betas: readonly [number, number];
    readonly eps: number;
    readonly weight_decay: number;
    readonly max_grad_norm: number;
    readonly steps: number;
    readonly batches: readonly TaskBatch[];
  };
}
interface TrainRecord {
  readonly loss: readonly number[];
  readonly grad_norm: readonly number[];
  readonly atol_loss: number;
  readonly atol_grad_norm: number;
}

export async function check(folder: string, { engine }: GoldenContext): Promise<GoldenResult> {
  const comparison = new Comparison(readGoldenCase(folder));
  const { json } = comparison.golden;
  if ('four_bit' in json) checkVectors(comparison, folder, engine);
  else if ('base' in json) {
    if (!isKnownModel(folder))
      return { status: 'unsupported', detail: `the model ${String(json['base'])}` };
    await checkCheckpoint(comparison, folder, engine);
  } else if (comparison.has('weight.SCB')) checkInt8(comparison, folder, engine);
  else checkMaps(comparison);
  return comparison.result();
}

function checkMaps(comparison: Comparison): void {
  comparison.tensor('nf4', Float32Array.from(codeBook('nf4')));
  comparison.tensor('fp4', Float32Array.from(codeBook('fp4')));
  comparison.tensor('dynamic_signed', dynamicMap(true));
  comparison.tensor('dynamic_unsigned', dynamicMap(false));
  // other formats of the library, which no checkpoint uses
  comparison.input('linear_signed', 'normal_map');
}

/** Vectors count as one row; the order of the elements is the same. */
function checkVectors(comparison: Comparison, folder: string, engine: Engine): void {
  const { four_bit: fourBit, eight_bit: eightBit } = comparison.golden.json as unknown as {
    four_bit: readonly FourBitCase[];
    eight_bit: readonly EightBitCase[];
  };
  const inputs = openSafetensors(join(folder, 'inputs.safetensors'));
  for (const {
    id,
    input,
    quant_type: format,
    blocksize: blockSize,
    double_quant: doubleQuantization,
  } of fourBit) {
    const source = inputs.get(input)!;
    const shape = source.shape.length === 2 ? source.shape : [1, source.shape[0]!];
    const weight = engine.freeze(
      { ...source, shape, read: source.read.bind(source) },
      { format, blockSize, doubleQuantization },
    );
    const { packed, absmax } = engine.quantizedParts(weight);
    weight.dispose();
    compareCodes(comparison, `${id}.packed`, packed, format);
    if (absmax instanceof Float32Array) comparison.tensor(`${id}.absmax`, absmax);
    else {
      comparison.equal(
        `${id}.absmax`,
        [...absmax.codes],
        [...comparison.golden.tensors.get(`${id}.absmax`)!.values],
      );
      comparison.input(`${id}.absmax`);
      comparison.tensor(`${id}.nested_absmax`, absmax.nestedAbsmax);
      comparison.tensor(`${id}.nested_offset`, [absmax.offset]);
    }
    const scales = absmax instanceof Float32Array ? absmax : expandAbsmax(absmax);
    compareRounded(
      comparison,
      `${id}.dequantised`,
      dequantize4Bit(packed, scales, format, blockSize, shape[0]! * shape[1]!),
      source.dtype,
    );
  }
  for (const { id, input, signed, blocksize } of eightBit) {
    const values = readFloat32(inputs.get(input)!);
    const { codes, absmax } = quantizeBlockwise(
      signed ? values : values.map(Math.abs),
      dynamicMap(signed),
      blocksize,
    );
    comparison.tensor(`${id}.codes`, codes);
    comparison.tensor(`${id}.absmax`, absmax);
    comparison.tensor(
      `${id}.dequantised`,
      dequantizeBlockwise(codes, absmax, dynamicMap(signed), blocksize),
    );
  }
  inputs.close();
}

/**
 * FP4 has two zeros, codes 0 and 8; which one is written differs between bitsandbytes' own
 * backends.
 */
function compareCodes(
  comparison: Comparison,
  name: string,
  packed: Uint8Array,
  format: 'nf4' | 'fp4',
): void {
  const codes = (bytes: Iterable<number>) =>
    [...bytes]
      .flatMap((byte) => [byte >> 4, byte & 15])
      .map((code) => (format === 'fp4' && code === 8 ? 0 : code));
  comparison.equal(name, codes(packed), codes(comparison.golden.tensors.get(name)!.values));
  comparison.input(name);
}

/** The reference rounds to the dtype of its input: half a unit in the last place more is right. */
function compareRounded(
  comparison: Comparison,
  name: string,
  actual: Float32Array,
  dtype: string,
): void {
  const relative = { BF16: 2 ** -8, F16: 2 ** -11 }[dtype] ?? 0;
  const expected = comparison.golden.tensors.get(name)!;
  comparison.input(name);
  if (relative === 0) return comparison.tensor(name, actual);
  const excess = actual.reduce(
    (worst, value, i) =>
      Math.max(
        worst,
        Math.abs(value - expected.values[i]!) - relative * Math.abs(expected.values[i]!),
      ),
    0,
  );
  comparison.number(name, excess, 0, expected.tolerance!);
}

/**
 * The weight as the engine holds it; the rest of LLM.int8() from the same row-wise rounding of the
 * activations.
 */
function checkInt8(comparison: Comparison, folder: string, engine: Engine): void {
  const inputs = openSafetensors(join(folder, 'inputs.safetensors'));
  const [weight, activation, bias] = ['weight', 'activation', 'bias'].map((name) =>
    inputs.get(name)!,
  ) as [TensorSource, TensorSource, TensorSource];
  const frozen = engine.freeze(weight, { format: 'int8' });
  const { packed, absmax } = engine.quantizedParts(frozen) as QuantizedParts & {
    absmax: Float32Array;
  };
  comparison.tensor('weight.int8', new Int8Array(packed.buffer, packed.byteOffset, packed.length));
  comparison.tensor('weight.SCB', absmax);
  tf.tidy(() => comparison.tensor('weight.dequantised', engine.dequantize(frozen).dataSync()));
  frozen.dispose();
  const x = readFloat32(activation);
  const [rows, columns] = activation.shape as [number, number];
  for (const name of ['plain', 'outliers'] as const) {
    const outliers =
      name === 'plain' ? [] : [...comparison.golden.tensors.get('outliers.columns')!.values];
    const { packed: codes, absmax: scales } = quantizeInt8Rows(
      x.map((value, i) => (outliers.includes(i % columns) ? 0 : value)),
      rows,
    );
    comparison.tensor(`${name}.activation.int8`, new Int8Array(codes.buffer));
    comparison.tensor(`${name}.activation.scale`, scales);
  }
  comparison.equal(
    'outliers.columns',
    Array.from({ length: columns }, (_, c) => c).filter((c) =>
      Array.from({ length: rows }, (_, r) => Math.abs(x[r * columns + c]!)).some(
        (value) => value >= 6,
      ),
    ),
    [...comparison.golden.tensors.get('outliers.columns')!.values],
  );
  // products with rounded activations, which ours keep in floating point
  comparison.input('outliers.columns', 'plain.int32', 'plain.output', 'outliers.output');
  const plain = engine.freeze(weight);
  const b = readFloat32(bias);
  tf.tidy(() =>
    comparison.tensor(
      'float32.output',
      engine.linear(tf.tensor2d(x, [rows, columns]), plain, tf.tensor1d(b)).dataSync(),
    ),
  );
  plain.dispose();
  inputs.close();
}

async function checkCheckpoint(
  comparison: Comparison,
  folder: string,
  engine: Engine,
): Promise<void> {
  const json = comparison.golden.json as unknown as CheckpointCase;
  const packed = packTask(json.task, json.batch);
  const compare = (model: Model, name: string) =>
    tf.tidy(() =>
      comparison.tensor(name, comparedOf(json.task, model.forward(packed.batch), packed)),
    );
  const model = openModel(folder, json.task, engine);
  try {
    for (const name of comparison.names('dequantised.')) {
      const value = model.readBaseParameter(name.slice('dequantised.'.length));
      comparison.tensor(name, value.dataSync());
      value.dispose();
    }
    compare(model, 'logits_dequantised');
    compare(model, 'logits_bnb');
    await checkWritten(comparison, folder, model);
    if (json.training) {
      await loadAdapter(model, join(folder, 'adapter'), { methods, isTrainable: true });
      compare(model, 'logits_lora');
      await checkTraining(
        comparison,
        json,
        JSON.parse(readFileSync(join(folder, 'train.json'), 'utf8')) as TrainRecord,
        model,
      );
    }
  } finally {
    model.dispose();
  }
}

/** A quantised model is written with the same keys, bytes and config. */
async function checkWritten(comparison: Comparison, folder: string, model: Model): Promise<void> {
  const place = mkdtempSync(join(tmpdir(), 'peft-golden-'));
  try {
    await saveQuantized(model, place);
    const [written, original] = [place, folder].map((each) =>
      openSafetensors(join(each, 'model.safetensors')),
    ) as [ReturnType<typeof openSafetensors>, ReturnType<typeof openSafetensors>];
    comparison.equal('keys', written.names(), original.names());
    for (const name of original.names()) {
      const [a, b] = [written.get(name), original.get(name)!];
      comparison.equal(
        `what is stored of ${name}`,
        a && [a.dtype, a.shape, [...numbers(readTensor(a).values)]],
        [b.dtype, b.shape, [...numbers(readTensor(b).values)]],
      );
    }
    written.close();
    original.close();
    const configs = [place, folder].map(
      (each) =>
        (JSON.parse(readFileSync(join(each, 'config.json'), 'utf8')) as Record<string, unknown>)[
          'quantization_config'
        ],
    );
    comparison.equal('quantization_config', configs[0], configs[1]);
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
}

const numbers = (values: Iterable<number | bigint>): number[] => Array.from(values, Number);

async function checkTraining(
  comparison: Comparison,
  json: CheckpointCase,
  record: TrainRecord,
  model: Model,
): Promise<void> {
  const {
    lr,
    betas,
    eps,
    weight_decay: weightDecay,
    max_grad_norm: maximumNorm,
    steps,
    batches,
  } = json.training!;
  const adapter = model.adapter(model.activeAdapters[0]!);
  const trained = model.trainables();
  const parameters = trained.map(({ name, value: variable }) => ({
    name,
    variable,
    group: { learningRateScale: 1, weightDecay },
  }));
  const keys = new Map(
    trained.map((parameter) => [parameter.name, peftFormat.keyOf(adapter, parameter)]),
  );
  const optimizer = adamw({ beta1: betas[0], beta2: betas[1], epsilon: eps });
  const state = optimizer.init(parameters);
  for (let step = 0; step < steps; step += 1) {
    const packed = packTask(json.task, batches[step % batches.length]!);
    const { value, grads } = tf.tidy(() =>
      tf.variableGrads(
        () => tf.tidy(() => taskLoss(json.task, model.forward(packed.batch), packed)),
        trained.map(({ value: variable }) => variable),
      ),
    );
    const gradients: Record<string, Tensor> = Object.fromEntries(
      trained.map(({ name, value: variable }) => [name, grads[variable.name]!]),
    );
    if (step === 0)
      for (const [name, gradient] of Object.entries(gradients))
        comparison.tensor(`grad0.${keys.get(name)}`, (gradient as Tensor2D).dataSync());
    comparison.number(
      `loss of step ${step}`,
      value.dataSync()[0]!,
      record.loss[step]!,
      record.atol_loss,
    );
    comparison.number(
      `gradient norm of step ${step}`,
      await globalNorm(gradients),
      record.grad_norm[step]!,
      record.atol_grad_norm,
    );
    await optimizer.update(parameters, gradients, state, {
      learningRate: lr,
      gradientScale: (await clipByGlobalNorm(gradients, maximumNorm)).gradientScale,
    });
    tf.dispose([value, gradients]);
  }
  state.dispose();
  for (const { name, value } of trained)
    comparison.tensor(`trained.${keys.get(name)}`, value.dataSync());
}
