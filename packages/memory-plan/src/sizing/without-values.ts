/**
 * A method as it is, but for the start values of its parameters, which are zeros: random numbers
 * and decompositions take time.
 */
import { zeros, type AttachContext, type MethodSpec } from '@peft/core';
import * as tf from '@tensorflow/tfjs';

type Attach = (site: unknown, config: unknown, context: AttachContext) => unknown;

export function withoutValues(spec: MethodSpec): MethodSpec {
  const parts = spec.parts.map((part) => {
    const attach = Object.fromEntries(
      Object.entries(part.method.attach).map(([kind, run]) => [
        kind,
        (site: unknown, config: unknown, context: AttachContext) =>
          // handed on as they came, whatever the kind
          (run as unknown as Attach)(site, config, plain(context)),
      ]),
    );
    return { ...part, method: { ...part.method, attach } };
  });
  return { ...spec, parts };
}

function plain(context: AttachContext): AttachContext {
  return {
    ...context,
    param: (name, shape, _init, options) => context.param(name, shape, zeros, options),
    sharedParam: (name, shape, _init, options) => context.sharedParam(name, shape, zeros, options),
    replaceWeight: () => context.replaceWeight((weight) => tf.clone(weight)),
  };
}
