/** Rotary positions, cross-entropy, sums, gathers and scatters of rows. */
import type { TensorInfo } from '@tensorflow/tfjs';
import { rowsOf } from './norms.js';
import { register } from './register.js';

/** Registers rope, dropout, scaling, sums, cross entropy, gathering and scattering. */
export function registerRows(): void {
  register<{ positions: Int32Array; heads: number; inverse: boolean; interleaved: boolean }>(
    'PeftRope',
    ({ inputs, attributes, backend }) => {
      const { x, cos, sin } = inputs as Record<'x' | 'cos' | 'sin', TensorInfo>;
      const [n, width] = rowsOf(x);
      const y = backend.create(x.shape);
      backend.binding.rope(
        backend.values(x),
        backend.values(cos),
        backend.values(sin),
        attributes.positions,
        y.values,
        n,
        attributes.heads,
        width / attributes.heads,
        cos.shape[1]!,
        attributes.inverse,
        attributes.interleaved,
      );
      return y.info;
    },
  );
  register<{ labels: Int32Array }>('PeftCrossEntropy', ({ inputs, attributes, backend }) => {
    const logits = inputs['logits']!;
    const [n, v] = rowsOf(logits);
    const [loss, logSumExp] = [backend.create([n]), backend.create([n])];
    backend.binding.crossEntropy(
      backend.values(logits),
      attributes.labels,
      loss.values,
      logSumExp.values,
      n,
      v,
    );
    return [loss.info, logSumExp.info];
  });
  register<{ labels: Int32Array }>(
    'PeftCrossEntropyGradient',
    ({ inputs, attributes, backend }) => {
      const { logits, logSumExp, dloss } = inputs as Record<
        'logits' | 'logSumExp' | 'dloss',
        TensorInfo
      >;
      const [n, v] = rowsOf(logits);
      const dlogits = backend.create(logits.shape);
      backend.binding.crossEntropyGradient(
        backend.values(logits),
        attributes.labels,
        backend.values(logSumExp),
        backend.values(dloss),
        dlogits.values,
        n,
        v,
      );
      return dlogits.info;
    },
  );
  register('PeftSumRows', ({ inputs, backend }) => {
    const x = inputs['x']!;
    const [n, d] = rowsOf(x);
    const y = backend.create([d]);
    backend.binding.sumRows(backend.values(x), y.values, n, d);
    return y.info;
  });
  register<{ rows: Int32Array }>('PeftGatherRows', ({ inputs, attributes, backend }) => {
    const x = inputs['x']!;
    const [m, d] = rowsOf(x);
    const y = backend.create([attributes.rows.length, d]);
    backend.binding.gatherRows(backend.values(x), attributes.rows, y.values, m, d);
    return y.info;
  });
  register<{ rows: Int32Array; size: number }>(
    'PeftScatterAddRows',
    ({ inputs, attributes, backend }) => {
      const x = inputs['x']!;
      const [, d] = rowsOf(x);
      const y = backend.create([attributes.size, d]);
      backend.binding.scatterAddRows(
        backend.values(x),
        attributes.rows,
        y.values,
        attributes.size,
        d,
      );
      return y.info;
    },
  );
}
