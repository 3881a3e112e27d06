/** Tensors that a checkpoint stores in another cut than the model uses them. */
import { PeftError } from '@peft/errors';
import type { TensorSource } from '@peft/ops';

/** What stands at `index` of the first axis of a stored tensor: one expert of many. */
export function sliceOf(source: TensorSource, index: number): TensorSource {
  const [count = 0, ...shape] = source.shape;
  if (!Number.isInteger(index) || index < 0 || index >= count)
    throw new PeftError(
      'PEFT_WEIGHT_SHAPE',
      `${source.name}: the checkpoint holds [${source.shape.join(', ')}], which has nothing at ${index}.`,
      { hint: 'config.json and the weights are not of the same model' },
    );
  const byteLength = source.byteLength / count;
  const start = index * byteLength;
  return {
    name: `${source.name}[${index}]`,
    dtype: source.dtype,
    shape,
    byteLength,
    file: source.file && {
      path: source.file.path,
      byteOffset: source.file.byteOffset + start,
    },
    read: (offset = 0, length = byteLength - offset) => source.read(start + offset, length),
  };
}

/** Stored tensors one behind the other along the first axis. @throws PEFT_WEIGHT_SHAPE */
export function joinedSource(name: string, parts: readonly TensorSource[]): TensorSource {
  const [first] = parts as [TensorSource];
  if (parts.length === 1) return named(name, first);
  for (const part of parts)
    if (part.dtype !== first.dtype || part.shape.slice(1).join() !== first.shape.slice(1).join())
      throw new PeftError(
        'PEFT_WEIGHT_SHAPE',
        `${part.name}: ${part.dtype} [${part.shape.join(', ')}] does not go behind ` +
          `${first.name}, ${first.dtype} [${first.shape.join(', ')}].`,
        { hint: 'config.json and the weights are not of the same model' },
      );
  const byteLength = parts.reduce((sum, part) => sum + part.byteLength, 0);
  return {
    name,
    dtype: first.dtype,
    shape: [parts.reduce((sum, { shape }) => sum + shape[0]!, 0), ...first.shape.slice(1)],
    byteLength,
    read(offset = 0, length = byteLength - offset) {
      const out = new Uint8Array(length);
      let start = 0;
      for (const part of parts) {
        const from = Math.max(offset - start, 0);
        const to = Math.min(offset + length - start, part.byteLength);
        if (from < to) out.set(part.read(from, to - from), start + from - offset);
        start += part.byteLength;
      }
      return out;
    },
  };
}

/** The same bytes by the name that the model has for them. */
const named = (name: string, source: TensorSource): TensorSource => ({
  name,
  dtype: source.dtype,
  shape: source.shape,
  byteLength: source.byteLength,
  file: source.file,
  read: (byteOffset, byteLength) => source.read(byteOffset, byteLength),
});
