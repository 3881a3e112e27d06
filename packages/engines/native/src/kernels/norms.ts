/** Layer norm and RMS norm with their gradients. */
import type { TensorInfo } from '@tensorflow/tfjs';
import { register, sizeOf, type KernelCall } from './register.js';

/** Registers the norms and their gradients. */
export function registerNorms(): void {
  register<{ epsilon: number }>('PeftLayerNorm', ({ inputs, attributes, backend }) => {
    const { x, gamma, beta } = inputs as Record<'x' | 'gamma', TensorInfo> & {
      readonly beta?: TensorInfo;
    };
    const [n, d] = rowsOf(x);
    const shift = beta ? backend.values(beta) : new Float32Array(d); // ModernBERT's norms have none
    const [y, mean, inverseStd] = [
      backend.create(x.shape),
      backend.create([n]),
      backend.create([n]),
    ];
    backend.binding.layerNorm(
      backend.values(x),
      backend.values(gamma),
      shift,
      y.values,
      mean.values,
      inverseStd.values,
      n,
      d,
      attributes.epsilon,
    );
    return [y.info, mean.info, inverseStd.info];
  });
  register<{ needGamma: boolean; needBeta: boolean; needX: boolean }>(
    'PeftLayerNormGradient',
    ({ inputs, attributes, backend }) => {
      const { x, gamma, mean, inverseStd, dy } = inputs as Record<
        'x' | 'gamma' | 'mean' | 'inverseStd' | 'dy',
        TensorInfo
      >;
      const [n, d] = rowsOf(x);
      const dx = optional(backend, attributes.needX, x.shape);
      const dgamma = optional(backend, attributes.needGamma, [d]);
      const dbeta = optional(backend, attributes.needBeta, [d]);
      backend.binding.layerNormGradient(
        backend.values(x),
        backend.values(gamma),
        backend.values(mean),
        backend.values(inverseStd),
        backend.values(dy),
        dx.values,
        dgamma.values,
        dbeta.values,
        n,
        d,
      );
      return [dx.info, dgamma.info, dbeta.info];
    },
  );
  register<{ epsilon: number; gammaOffset: number }>(
    'PeftRmsNorm',
    ({ inputs, attributes, backend }) => {
      const { x, gamma } = inputs as Record<'x' | 'gamma', TensorInfo>;
      const [n, d] = rowsOf(x);
      const [y, inverseRms] = [backend.create(x.shape), backend.create([n])];
      backend.binding.rmsNorm(
        backend.values(x),
        backend.values(gamma),
        y.values,
        inverseRms.values,
        n,
        d,
        attributes.epsilon,
        attributes.gammaOffset,
      );
      return [y.info, inverseRms.info];
    },
  );
  register<{ gammaOffset: number; needGamma: boolean; needX: boolean }>(
    'PeftRmsNormGradient',
    ({ inputs, attributes, backend }) => {
      const { x, gamma, inverseRms, dy } = inputs as Record<
        'x' | 'gamma' | 'inverseRms' | 'dy',
        TensorInfo
      >;
      const [n, d] = rowsOf(x);
      const dx = optional(backend, attributes.needX, x.shape);
      const dgamma = optional(backend, attributes.needGamma, [d]);
      backend.binding.rmsNormGradient(
        backend.values(x),
        backend.values(gamma),
        backend.values(inverseRms),
        backend.values(dy),
        dx.values,
        dgamma.values,
        n,
        d,
        attributes.gammaOffset,
      );
      return [dx.info, dgamma.info];
    },
  );
}

/** N and D of a tensor whose last axis is D. */
export function rowsOf(x: TensorInfo): [rows: number, columns: number] {
  const columns = x.shape.at(-1) ?? 1;
  return [columns === 0 ? 0 : sizeOf(x.shape) / columns, columns];
}

/** An output that may not be wanted: then a tensor of shape [0], and null for the addon. */
export function optional(
  backend: KernelCall['backend'],
  isWanted: boolean,
  shape: readonly number[],
): { readonly info: TensorInfo; readonly values: Float32Array | null } {
  return isWanted ? backend.create(shape) : { info: backend.create([0]).info, values: null };
}
