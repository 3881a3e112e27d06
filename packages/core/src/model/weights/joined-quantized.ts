/** Packed weights that a checkpoint stores in another cut than the model uses them. */
import type { QuantizedSource } from '@peft/hub';
import { PeftError } from '@peft/errors';
import type { QuantizedParts } from '@peft/ops';

/**
 * Rows of the one behind those of the other. `undefined` where they cannot be put together as they
 * are packed: formats or widths differ, a row ends within a byte, or bitsandbytes' maxima may be
 * quantised, each weight's by themselves.
 */
export function joinedQuantized(
  name: string,
  parts: readonly QuantizedSource[],
): QuantizedSource | undefined {
  const [first] = parts as [QuantizedSource];
  const columns = first.shape[1];
  const isAlike = parts.every(
    ({ format, shape }) => format === first.format && shape[1] === columns && columns % 2 === 0,
  );
  const mayBeNested = first.format === 'nf4' || first.format === 'fp4';
  if (parts.length > 1 && (!isAlike || mayBeNested)) return undefined;
  const shape = [parts.reduce((sum, part) => sum + part.shape[0], 0), columns] as const;
  return {
    name,
    format: first.format,
    shape,
    byteLength: parts.reduce((sum, { byteLength }) => sum + byteLength, 0),
    read: () => ({ ...joinedParts(parts.map((part) => part.read())), name, shape }),
  };
}

function joinedParts(parts: readonly QuantizedParts[]): QuantizedParts {
  const [first] = parts as [QuantizedParts];
  if (parts.length === 1) return first;
  const scales = parts.map(({ absmax, blockSize, name, shape, format }) => {
    const isWhole = format === 'int8' || shape[1]! % blockSize! === 0;
    if (absmax instanceof Float32Array && blockSize === first.blockSize && isWhole) return absmax;
    throw new PeftError(
      'PEFT_QUANTIZED_PARTS',
      `${name}: its blocks of ${blockSize} do not go behind those of ${first.name}.`,
      { hint: 'take the unquantised checkpoint, and quantise while it is read' },
    );
  });
  return {
    ...first,
    packed: Uint8Array.from(Buffer.concat(parts.map(({ packed }) => packed))),
    absmax: joinedFloats(scales),
    zeros: first.zeros && Uint8Array.from(Buffer.concat(parts.map(({ zeros }) => zeros!))),
  };
}

function joinedFloats(parts: readonly Float32Array[]): Float32Array {
  const joined = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}
