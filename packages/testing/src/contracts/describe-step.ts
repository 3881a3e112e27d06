/**
 * A training step on an engine: by its own kernels as far as it says that it has them, and on one
 * whose memory is a device's by nothing else, since a reference in plain tfjs operations is many
 * operations there.
 */
import * as tf from '@tensorflow/tfjs';
import type { Scalar } from '@tensorflow/tfjs';
import { definePeftMethod, ones, type MethodSpec, type PeftMethodDefinition } from '@peft/core';
import {
  crossEntropy,
  hasDeviceMemory,
  linearCrossEntropy,
  scaleColumns,
  variableGradients,
  watchReferences,
  type Engine,
  type KernelName,
} from '@peft/ops';
import { expect, test } from 'vitest';
import { tinyDeberta, tinyModels, type TinyModel } from '../tiny-models.js';

/** A factor for each output of every linear map, and all vectors of norms and biases. */
const probe = definePeftMethod({
  name: 'contract-probe' as never,
  parseConfig: () => ({}) as never,
  defaultTargets: () => ({ targets: 'all-linear' }),
  attach: {
    linear(site, _config, context) {
      const scale = context.param('scale', [site.outFeatures], ones);
      if (site.bias !== undefined) context.unfreeze(site.bias);
      return { forward: (x, base) => scaleColumns(base(x), scale.value) };
    },
    norm: (site, _config, context) => void context.unfreeze(site.weight),
  },
} satisfies PeftMethodDefinition<never> as never) as unknown as () => MethodSpec;

/** Declares the tests. @param engineOf the engine, once there is one */
export function describeStep(engineOf: () => Engine): void {
  const cases = [
    ...tinyModels().map((tiny) => [tiny.name, tiny] as const),
    ['disentangled attention', tinyDeberta()] as const,
  ] as const;
  for (const [title, tiny] of cases)
    test(`a step on ${title} runs by the kernels that the engine says it has`, () => {
      const engine = engineOf();
      const { fallen } = stepOn(engine, tiny);
      const declared = engine.sizing?.kernels ?? {};
      expect(
        [...fallen].filter((name) => hasDeviceMemory(engine) || name in declared).sort(),
        'operations that ran by their references',
      ).toEqual([]);
    });
}

function stepOn(engine: Engine, tiny: TinyModel): { readonly fallen: ReadonlySet<KernelName> } {
  const fallen = new Set<KernelName>();
  const model = tiny.open(engine);
  const end = watchReferences((name) => fallen.add(name));
  try {
    model.addAdapter('probe', probe());
    tf.tidy(() => {
      const loss = (): Scalar => {
        const run = { training: true, randomParts: [1] };
        if (tiny.name === 'encoder')
          return tf.sum(
            crossEntropy(model.forward(tiny.batch, run).logits!, tiny.labels),
          ) as Scalar;
        const { hidden, outputLayer, logitsOf } = model.forward(tiny.batch, {
          ...run,
          logitRows: 'none',
        });
        if (outputLayer)
          return tf.sum(
            linearCrossEntropy(hidden, outputLayer.weight, tiny.labels, outputLayer),
          ) as Scalar;
        const rows = Int32Array.from(tiny.labels.keys());
        return tf.sum(crossEntropy(logitsOf!(rows), tiny.labels)) as Scalar;
      };
      variableGradients(
        loss,
        model.trainables().map(({ value }) => value),
      );
    });
  } finally {
    end();
    model.dispose();
  }
  return { fallen };
}
