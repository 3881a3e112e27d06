/** Activations, gated activations, dropout and column scales with their gradients. */
import type { TensorInfo } from '@tensorflow/tfjs';
import type { ActivationName, DropoutAttributes } from '@peft/ops';
import { ACTIVATION } from '../binding/activations.js';
import { optional, rowsOf } from './norms.js';
import { register, sizeOf } from './register.js';

/** Registers the activations and their gradients. */
export function registerActivations(): void {
  register<{ kind: ActivationName }>('PeftActivation', ({ inputs, attributes, backend }) => {
    const x = inputs['x']!;
    const y = backend.create(x.shape);
    backend.binding.activation(
      ACTIVATION[attributes.kind],
      backend.values(x),
      y.values,
      y.values.length,
    );
    return y.info;
  });
  register<{ kind: ActivationName }>(
    'PeftActivationGradient',
    ({ inputs, attributes, backend }) => {
      const { x, dy } = inputs as Record<'x' | 'dy', TensorInfo>;
      const dx = backend.create(x.shape);
      backend.binding.activationGradient(
        ACTIVATION[attributes.kind],
        backend.values(x),
        backend.values(dy),
        dx.values,
        dx.values.length,
      );
      return dx.info;
    },
  );
  register<{ kind: ActivationName }>('PeftGatedActivation', ({ inputs, attributes, backend }) => {
    const { gate, up } = inputs as Record<'gate' | 'up', TensorInfo>;
    const y = backend.create(gate.shape);
    backend.binding.gatedActivation(
      ACTIVATION[attributes.kind],
      backend.values(gate),
      backend.values(up),
      y.values,
      y.values.length,
    );
    return y.info;
  });
  register<{ kind: ActivationName }>(
    'PeftGatedActivationGradient',
    ({ inputs, attributes, backend }) => {
      const { gate, up, dy } = inputs as Record<'gate' | 'up' | 'dy', TensorInfo>;
      const [dgate, dup] = [backend.create(gate.shape), backend.create(up.shape)];
      backend.binding.gatedActivationGradient(
        ACTIVATION[attributes.kind],
        backend.values(gate),
        backend.values(up),
        backend.values(dy),
        dgate.values,
        dup.values,
        sizeOf(gate.shape),
      );
      return [dgate.info, dup.info];
    },
  );
  register<DropoutAttributes>('PeftDropout', ({ inputs, attributes, backend }) => {
    const x = inputs['x']!;
    const y = backend.create(x.shape);
    backend.binding.dropout(
      backend.values(x),
      y.values,
      y.values.length,
      attributes.rate,
      attributes.key[0],
      attributes.key[1],
    );
    return y.info;
  });
  register('PeftScaleColumns', ({ inputs, backend }) => {
    const { x, scale } = inputs as Record<'x' | 'scale', TensorInfo>;
    const [n, d] = rowsOf(x);
    const y = backend.create(x.shape);
    backend.binding.scaleColumns(backend.values(x), backend.values(scale), y.values, n, d);
    return y.info;
  });
  register<{ needX: boolean; needScale: boolean }>(
    'PeftScaleColumnsGradient',
    ({ inputs, attributes, backend }) => {
      const { x, scale, dy } = inputs as Record<'x' | 'scale' | 'dy', TensorInfo>;
      const [n, d] = rowsOf(x);
      const dx = optional(backend, attributes.needX, x.shape);
      const dscale = optional(backend, attributes.needScale, [d]);
      backend.binding.scaleColumnsGradient(
        backend.values(x),
        backend.values(scale),
        backend.values(dy),
        dx.values,
        dscale.values,
        n,
        d,
      );
      return [dx.info, dscale.info];
    },
  );
}
