/** Growing rows in place: what a cache of keys and values does with each token. */
import type { TensorInfo } from '@tensorflow/tfjs';
import { rowsOf } from './norms.js';
import { register } from './register.js';

/** Room for so many further rows is made when there is none, or for half as many as there are. */
const LEAST_ROWS = 64;

/** Registers the kernel that appends rows in place where it can. */
export function registerAppendRows(): void {
  register<{ offsets: Int32Array; addedOffsets: Int32Array }>(
    'PeftAppendRows',
    ({ inputs, attributes: { offsets, addedOffsets }, backend }) => {
      const { x, added } = inputs as Record<'x' | 'added', TensorInfo>;
      const [[before, width], [more]] = [rowsOf(x), rowsOf(added)];
      const [old, fresh] = [backend.values(x), backend.values(added)];
      const [rows, size] = [before + more, (before + more) * width];
      const own = backend.takeOver(x, size);
      const values =
        own ??
        backend.pool.take((rows + Math.max(LEAST_ROWS, rows >> 1)) * width).subarray(0, size);
      // From the last sequence on, so that nothing is written over before it was moved.
      for (let b = offsets.length - 2; b >= 0; b -= 1) {
        const [start, end, at] = [
          offsets[b]! * width,
          offsets[b + 1]! * width,
          (offsets[b]! + addedOffsets[b]!) * width,
        ];
        if (!own) values.set(old.subarray(start, end), at);
        else if (at !== start) values.copyWithin(at, start, end);
        values.set(
          fresh.subarray(addedOffsets[b]! * width, addedOffsets[b + 1]! * width),
          at + end - start,
        );
      }
      return backend.makeTensorInfo([rows, width], 'float32', values);
    },
  );
}
