/** The contract that every PEFT method passes, on a tiny model of each shape. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor2D } from '@tensorflow/tfjs';
import {
  adapterCounts,
  attachAdapter,
  BASE_ADAPTER,
  loadAdapter,
  saveAdapter,
  type Adapter,
  type AnyMethod,
  type MethodName,
  type MethodSpec,
  type Model,
  type PeftMethod,
  type RunOptions,
} from '@peft/core';
import { PeftError } from '@peft/errors';
import { crossEntropy, gatherRows, type Engine } from '@peft/ops';
import { createPortableEngine } from '@peft/portable';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { foldedInPieces, parameterValues } from '../parameter-values.js';
import type { MethodCase, MethodContractOptions } from './method-contract-options.js';
import { moveParameters } from '../set-up.js';
import { tinyModels, type TinyModel } from '../tiny-models.js';
import { toBeAllclose } from '../to-be-allclose.js';
import { withoutGradientAdvice } from '../numeric-gradient.js';

/**
 * Parameters of a case whose gradient is compared with differences of the loss; the others' lengths
 * and checkpointing are checked.
 */
const MAXIMUM_SLOPES = 6;

/** Float32 sums in another order. */
const CLOSE = { atol: 2e-5, rtol: 2e-5 };

/**
 * Declares the contract's tests for each case on each shape: identity at the start, gradients
 * (against differences of the loss) at every parameter, frozen weights untouched, merging, files,
 * several adapters, mixed batches, and nothing left behind.
 */
export function describePeftMethod<Name extends MethodName>(
  method: PeftMethod<Name>,
  cases: readonly MethodCase<Name>[],
  options: MethodContractOptions<Name> = {},
): void {
  // a method of one name is a method of any
  const methods = [method as unknown as AnyMethod, ...(options.methods ?? [])];
  const makeSpec = options.spec ?? ((given: MethodCase<Name>['options']) => method(given ?? {}));
  describe(`method contract: ${method.name}`, () => {
    let engine: Engine;
    beforeAll(async () => {
      expect.extend({ toBeAllclose });
      engine = await (options.createEngine ?? createPortableEngine)();
      await engine.activate();
    });
    afterAll(() => engine.dispose());

    for (const each of cases) {
      for (const tiny of tinyModels().filter(({ name }) => each.on?.includes(name) ?? true)) {
        describe(`${each.title}, on the ${tiny.name}`, () =>
          declareCase(
            each,
            { ...tiny, open: (on) => tiny.open(on, options.load) },
            () => makeSpec(each.options),
            methods,
            () => engine,
          ));
      }
    }
    for (const { options: bad, message } of options.badOptions ?? []) {
      test(`refuses ${JSON.stringify(bad)}`, () => {
        // wrong on purpose
        expect(() => method(bad as never)).toThrow(PeftError);
        expect(() => method(bad as never)).toThrow(message);
      });
    }
    test('names the options that it knows when given another', () => {
      // wrong on purpose
      expect(() => method({ noSuchOption: 1 } as never)).toThrow(/unknown option "noSuchOption"/);
    });
  });
}

function declareCase<Name extends MethodName>(
  each: MethodCase<Name>,
  tiny: TinyModel,
  makeSpec: () => MethodSpec,
  methods: readonly AnyMethod[],
  engine: () => Engine,
): void {
  let model: Model;
  let tensors = 0;
  beforeEach(() => {
    tensors = tf.memory().numTensors;
    model = tiny.open(engine());
  });
  afterEach(() => {
    model.dispose();
    expect(tf.memory().numTensors, 'tensors left behind').toBe(tensors);
  });
  const logits = (of: Model = model, run?: RunOptions): Float32Array =>
    tf.tidy(() => logitsOf(of, tiny, run).dataSync<'float32'>().slice());
  const add = (name: string, seed?: number): Adapter => {
    const adapter = model.addAdapter(name, makeSpec(), { seed: seed ?? 0 });
    if (seed !== undefined) moveParameters(adapter, seed, 0.15);
    return adapter;
  };

  if (each.identityAtStart ?? true) {
    test('changes nothing at the start', () => {
      const before = logits();
      add('a');
      expect(logits()).toBeAllclose(before, CLOSE);
    });
  }

  test('changes something once it has trained', () => {
    const before = logits();
    add('a', 1);
    expect(distance(logits(), before)).toBeGreaterThan(1e-3);
  });

  test('makes on a bare description what it makes on a model', () => {
    const dry = attachAdapter('a', makeSpec(), model.description, undefined);
    const adapter = add('a');
    expect([...dry.parameters.keys()]).toEqual([...adapter.parameters.keys()]);
    expect(adapterCounts(model.description, [dry])).toEqual(model.parameterCounts());
    expect(model.parameterCounts().trainable).toBeGreaterThan(0);
  });

  test('starts the same for the same seed', () => {
    const first = valuesOf(add('a'));
    model.deleteAdapter('a');
    expect(valuesOf(add('a'))).toEqual(first);
  });

  test('has the gradient of its loss at every parameter, also with checkpointing', () => {
    add('a', 2);
    const { gradients } = lossAndGradients(model, tiny);
    const again = lossAndGradients(model, tiny, { checkpointing: true });
    const trained = model.trainables();
    const stride = Math.ceil(trained.length / MAXIMUM_SLOPES);
    for (const [i, { name, value }] of trained.entries()) {
      const gradient = gradients.get(name)!;
      expect(again.gradients.get(name)!, name).toBeAllclose(gradient, CLOSE);
      if (each.withoutGradient?.test(name) || value.size === 0) continue;
      const norm = Math.hypot(...gradient);
      expect(norm, withoutGradientAdvice(name)).toBeGreaterThan(1e-6);
      if (each.exactGradient === false || i % stride > 0) continue;
      // A long step where the loss is flat and rounding shows, a short one where it bends.
      let found = Number.NaN;
      for (const step of [4e-3, 1e-3, 3e-4]) {
        found = slope(model, tiny, value, gradient, norm, step);
        if (Math.abs(found - norm) <= 2e-3 + 0.03 * norm) break;
      }
      expect(found, `slope along ${name}`).toBeAllclose(norm, { atol: 2e-3, rtol: 0.03 });
    }
  });

  test('learns, and leaves the frozen weights byte for byte as they were', () => {
    const before = parameterValues(model, 'readBaseParameter');
    add('a', 3);
    const { loss } = lossAndGradients(model, tiny);
    for (let step = 0; step < 5; step += 1) descend(model, tiny);
    expect(lossAndGradients(model, tiny).loss).toBeLessThan(loss);
    expect(parameterValues(model, 'readBaseParameter')).toEqual(before);
  });

  if (each.merges ?? true) {
    test('merged, computes the same; unmerged, is what it was to the last bit', () => {
      add('a', 4);
      const active = logits();
      model.checkMergeable();
      const folded = parameterValues(model, 'readFoldedParameter');
      expect(foldedInPieces(model, 40)).toEqual(folded);
      model.mergeAdapters();
      expect(logits()).toBeAllclose(active, { atol: 1e-4, rtol: 1e-4 });
      expect(folded).toEqual(parameterValues(model, 'readParameter'));
      model.unmergeAdapters();
      expect(logits()).toEqual(active);
    });
  } else {
    test('refuses to be merged, and stays as it was', () => {
      add('a', 4);
      const active = logits();
      expect(() => model.checkMergeable()).toThrow(
        expect.objectContaining({ code: 'PEFT_MERGE_INEXACT' }),
      );
      expect(() => model.mergeAdapters()).toThrow(
        expect.objectContaining({ code: 'PEFT_MERGE_INEXACT' }),
      );
      expect(logits()).toEqual(active);
    });
  }

  test('is the same after saving and loading, and saved again the same bytes', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'peft-contract-'));
    const other = tiny.open(engine());
    try {
      add('a', 5);
      const active = logits();
      await saveAdapter(model, 'a', join(folder, 'first'));
      const { adapter, warnings } = await loadAdapter(other, join(folder, 'first'), {
        name: 'a',
        methods,
        isTrainable: true,
      });
      expect(warnings).toEqual([]);
      expect(logits(other)).toEqual(active);
      expect(adapterCounts(other.description, [adapter]).trainable).toBeGreaterThan(0);
      await saveAdapter(other, 'a', join(folder, 'second'));
      const files = readdirSync(join(folder, 'first'), { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile() && entry.name !== 'README.md')
        .map(({ parentPath, name }) => relative(join(folder, 'first'), join(parentPath, name)));
      expect(files).toContain('adapter_config.json');
      for (const file of files)
        expect(
          readFileSync(join(folder, 'second', file)).equals(
            readFileSync(join(folder, 'first', file)),
          ),
          file,
        ).toBe(true);
      add('fresh');
      await expect(saveAdapter(model, 'fresh', join(folder, 'third'))).rejects.toMatchObject({
        code: 'PEFT_ADAPTER_UNTRAINED',
      });
    } finally {
      other.dispose();
      rmSync(folder, { recursive: true, force: true });
    }
  });

  /** Of the model without adapters, in the form that such an adapter gives it. */
  const bareLogits = (): Float32Array => {
    if (!(each.changesForm ?? false)) return logits();
    add('form');
    const bare = model.withAdaptersDisabled(() => logits());
    model.deleteAdapter('form');
    return bare;
  };

  test('keeps two adapters on one model apart', () => {
    const bare = bareLogits();
    add('a', 6);
    const a = logits();
    add('b', 7);
    const b = logits();
    expect(distance(a, b)).toBeGreaterThan(1e-4);
    model.setActiveAdapters('a');
    expect(logits()).toEqual(a);
    descend(model, tiny);
    model.setActiveAdapters('b');
    expect(logits()).toEqual(b);
    expect(model.withAdaptersDisabled(() => logits())).toEqual(bare);
    model.deleteAdapter('b');
    expect(logits()).toEqual(bare);
  });

  const mixes = each.mixes ?? true;
  test(
    mixes
      ? 'in one batch with another adapter and none, computes what each does alone'
      : 'refuses a batch that mixes adapters',
    () => {
      add('a', 8);
      add('b', 9);
      const assignment = ['b', BASE_ADAPTER, 'a'];
      if (!mixes)
        return void expect(() => logits(model, { assignment })).toThrow(
          expect.objectContaining({ code: 'PEFT_MIXED_BATCH' }),
        );
      const mixed = logits(model, { assignment });
      const width = mixed.length / tiny.logitOffsets.at(-1)!;
      assignment.forEach((name, b) => {
        model.setActiveAdapters(...(name === BASE_ADAPTER ? [] : [name]));
        const rows = (values: Float32Array) =>
          values.slice(tiny.logitOffsets[b]! * width, tiny.logitOffsets[b + 1]! * width);
        expect(rows(mixed), `sequence ${b}`).toBeAllclose(rows(logits()), CLOSE);
      });
    },
  );
}

/** Moves every trainable parameter off its start. */
const valuesOf = (adapter: Adapter): number[][] =>
  [...adapter.parameters.values()].map(({ value }) => [...value.dataSync()]);

/** Logits of the batch's own rows: virtual tokens in front have logits, too. */
function logitsOf(model: Model, { batch, logitOffsets }: TinyModel, run?: RunOptions): Tensor2D {
  const { logits, offsets } = model.forward(batch, run);
  if (logits!.shape[0] === logitOffsets.at(-1)) return logits!;
  const rows = Array.from(logitOffsets.slice(0, -1)).flatMap((start, b) =>
    Array.from(
      { length: logitOffsets[b + 1]! - start },
      (_, t) => offsets[b + 1]! - (logitOffsets[b + 1]! - start) + t,
    ),
  );
  return gatherRows(logits!, Int32Array.from(rows));
}

function lossOf(model: Model, tiny: TinyModel, run?: RunOptions): Tensor {
  const loss = tf.mean(crossEntropy(logitsOf(model, tiny, run), tiny.labels));
  const extra = model.activeAdapters.flatMap((name) =>
    model.adapter(name).extraLosses.map((term) => term()),
  );
  return extra.length ? tf.addN([loss, ...extra]) : loss;
}

function lossAndGradients(
  model: Model,
  tiny: TinyModel,
  run?: RunOptions,
): { loss: number; gradients: Map<string, Float32Array> } {
  const trained = model.trainables();
  const { value, grads } = tf.tidy(() =>
    tf.variableGrads(
      () => tf.tidy(() => lossOf(model, tiny, run).asScalar()),
      trained.map(({ value: variable }) => variable),
    ),
  );
  const result = {
    loss: value.dataSync()[0]!,
    gradients: new Map(
      trained.map(({ name, value: variable }) => [
        name,
        grads[variable.name]?.dataSync<'float32'>().slice() ?? new Float32Array(variable.size),
      ]),
    ),
  };
  tf.dispose([value, grads]);
  return result;
}

/** One step of plain gradient descent. */
function descend(model: Model, tiny: TinyModel): void {
  const { gradients } = lossAndGradients(model, tiny);
  for (const { name, value } of model.trainables())
    tf.tidy(() =>
      value.assign(tf.sub(value, tf.mul(tf.tensor(gradients.get(name)!, value.shape), 0.02))),
    );
}

/**
 * Difference quotient of the loss along the gradient's direction, to fourth order; equals the
 * gradient's norm.
 */
function slope(
  model: Model,
  tiny: TinyModel,
  variable: Tensor & { assign(value: Tensor): void },
  gradient: Float32Array,
  norm: number,
  step: number,
): number {
  const original = tf.clone(variable);
  const at = (factor: number): number =>
    tf.tidy(() => {
      variable.assign(tf.add(original, tf.mul(tf.tensor(gradient, variable.shape), factor / norm)));
      return lossOf(model, tiny).dataSync()[0]!;
    });
  const value = (8 * (at(step) - at(-step)) - (at(2 * step) - at(-2 * step))) / (12 * step);
  variable.assign(original);
  original.dispose();
  return value;
}

const distance = (a: Float32Array, b: Float32Array): number =>
  Math.max(...a.map((value, i) => Math.abs(value - b[i]!)));
