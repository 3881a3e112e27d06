/**
 * A step of LoRA and IA3 on every model type is PEFT's: on the modules of its defaults, with the loss
 * and gradients that tools/cases/make_peft_step_cases.py wrote down.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as tf from '@tensorflow/tfjs';
import type { Scalar } from '@tensorflow/tfjs';
import {
  architectureFor,
  loadModel,
  peftFormat,
  type HeadOptions,
  type MethodSpec,
  type Model,
} from '@peft/core';
import { openCheckpoint } from '@peft/hub';
import { ia3 } from '@peft/ia3';
import { lora } from '@peft/lora';
import { architectures } from '@peft/models';
import type { Engine } from '@peft/ops';
import { createPortableEngine } from '@peft/portable';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

interface StepCase {
  readonly ids: readonly number[];
  /** Default: those that the method has for the type. */
  readonly targets?: 'all-linear' | string[];
  readonly loss: number;
  /** Norm of the gradient by the name that PEFT's files have. */
  readonly norms: Readonly<Record<string, number>>;
}
interface TypeCase {
  readonly fixture: string;
  readonly task: 'causal' | 'seq2seq' | 'seqcls';
  readonly lora?: StepCase;
  readonly ia3?: StepCase;
}

const FIXTURES = fileURLToPath(new URL('../../packages/testing/fixtures/models', import.meta.url));
const types = JSON.parse(
  readFileSync(new URL('./peft-step-cases.json', import.meta.url), 'utf8'),
) as Readonly<Record<string, TypeCase>>;

const METHODS = {
  lora: {
    spec: ({ targets }: StepCase): MethodSpec =>
      targets ? lora({ rank: 2, alpha: 4, targets }) : lora({ rank: 2, alpha: 4 }),
    /** Start values are sines around it. */
    base: 0,
    amplitude: 0.2,
  },
  ia3: { spec: (): MethodSpec => ia3(), base: 1, amplitude: 0.3 },
} as const;

const cases = (['lora', 'ia3'] as const).flatMap((method) =>
  Object.entries(types).flatMap(([type, { fixture, task, [method]: step }]) =>
    step ? [{ type, fixture, task, method, step }] : [],
  ),
);

describe('a step is that of PEFT', () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await createPortableEngine();
    await engine.activate();
  });
  afterAll(() => engine.dispose());

  test.each(cases)('$method on $type', ({ fixture, task, method, step }) => {
    const folder = join(FIXTURES, fixture);
    const store = openCheckpoint(folder);
    const config = JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8')) as object;
    const json = config as Readonly<Record<string, unknown>>;
    const architecture = architectureFor(json['model_type'], architectures);
    const model = loadModel(architecture, json, store, engine, {
      head: headOf(task, (name) => store.get(name)?.shape[0]),
    });
    store.close();
    try {
      const { spec, base, amplitude } = METHODS[method];
      const adapter = model.addAdapter('step', spec(step));
      const own = model
        .trainables()
        .map((parameter) => ({ key: peftFormat.keyOf(adapter, parameter), value: parameter.value }))
        .filter(({ key }) => /lora_|ia3_/.test(key));
      expect(own.map(({ key }) => key).sort()).toEqual(Object.keys(step.norms).sort());
      for (const { value } of own)
        tf.tidy(() => value.assign(tf.tensor(sines(value.size, base, amplitude), value.shape)));
      const { value, grads } = gradients(
        model,
        step.ids,
        task,
        own.map((each) => each.value),
      );
      const relative = (got: number, wanted: number) => Math.abs(got - wanted) / (wanted + 1e-6);
      expect(relative(value, step.loss)).toBeLessThan(1e-4);
      own.forEach(({ key }, i) =>
        expect(relative(grads[i]!, step.norms[key]!), key).toBeLessThan(1e-3),
      );
    } finally {
      model.dispose();
    }
  });
});

function headOf(task: TypeCase['task'], rowsOf: (name: string) => number | undefined): HeadOptions {
  if (task !== 'seqcls') return { kind: task === 'causal' ? 'causal-lm' : 'seq2seq-lm' };
  const outputs = rowsOf('classifier.out_proj.weight') ?? rowsOf('classifier.weight') ?? 2;
  return { kind: 'sequence-classification', outputs };
}

const sines = (count: number, base: number, amplitude: number): Float32Array =>
  Float32Array.from(
    { length: count },
    (_, i) => base + amplitude * Math.sin(0.37 * (i + 1) + 0.11 * count),
  );

/** The mean square of the logits, and the norms of its gradients. */
function gradients(
  model: Model,
  ids: readonly number[],
  task: TypeCase['task'],
  variables: tf.Variable[],
): { readonly value: number; readonly grads: readonly number[] } {
  const side = (count: number) => ({
    inputIds: Int32Array.from(ids.slice(0, count)),
    offsets: Int32Array.of(0, count),
  });
  const decoder = task === 'seq2seq' ? side(ids.length / 2) : undefined;
  const found = tf.tidy(() =>
    tf.variableGrads(
      () =>
        tf.tidy(() => {
          const { logits } = model.forward({ ...side(ids.length), decoder });
          return tf.mean(tf.square(logits!)) as Scalar;
        }),
      variables,
    ),
  );
  const result = {
    value: found.value.dataSync()[0]!,
    grads: variables.map(({ name }) => Math.hypot(...found.grads[name]!.dataSync())),
  };
  tf.dispose([found.value, found.grads]);
  return result;
}
