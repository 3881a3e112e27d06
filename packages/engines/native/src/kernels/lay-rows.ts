/** Rows at chosen places: what a cache of keys and values does with each token. */
import type { TensorInfo } from '@tensorflow/tfjs';
import { eachRange, type PeftKernels } from '@peft/ops';
import { rowsOf } from './norms.js';
import { register } from './register.js';

/** Registers the kernel that lays rows, in the memory of those that stay. */
export function registerLayRows(): void {
  register<PeftKernels['PeftLayRows']['attributes']>(
    'PeftLayRows',
    ({ inputs, attributes: { size, isInPlace, moves, additions }, backend }) => {
      const { x, added } = inputs as Partial<Record<'x' | 'added', TensorInfo>>;
      const [, width] = rowsOf((x ?? added)!);
      const old = x && backend.values(x);
      const own = isInPlace && x ? backend.takeOver(x, size * width) : undefined;
      const values = own ?? backend.pool.take(size * width);
      if (isInPlace && !own && old) values.set(old); // others share its memory
      const source = isInPlace ? values : old;
      eachRange(moves, (from, to, count) => {
        if (source === values) values.copyWithin(to * width, from * width, (from + count) * width);
        else values.set(source!.subarray(from * width, (from + count) * width), to * width);
      });
      const fresh = added && backend.values(added);
      eachRange(additions, (from, to, count) =>
        values.set(fresh!.subarray(from * width, (from + count) * width), to * width),
      );
      return backend.makeTensorInfo([size, width], 'float32', values);
    },
  );
}
