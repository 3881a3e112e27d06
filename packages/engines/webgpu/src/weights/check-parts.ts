/** Checks of what a checkpoint gives, before anything of it is used. */
import { PeftError } from '@peft/errors';
import { checkBlockSize, type NestedAbsmax, type QuantizedParts } from '@peft/ops';

/**
 * The two axes of a weight.
 * @throws PEFT_WEIGHT_SHAPE for another number of axes
 */
export function matrixShape(name: string, shape: readonly number[]): [number, number] {
  if (shape.length !== 2)
    throw new PeftError(
      'PEFT_WEIGHT_SHAPE',
      `${name}: a frozen weight has two axes, got [${shape.join(', ')}].`,
    );
  return [shape[0]!, shape[1]!];
}

/** @throws PEFT_QUANTIZED_PARTS when lengths and shape do not fit together */
export function checkParts(parts: QuantizedParts): void {
  const { name, format, shape, packed, absmax, zeros, blockSize = 64 } = parts;
  const [rows, columns] = matrixShape(name, shape);
  const elements = rows * columns;
  const fail = (problem: string): never => {
    throw new PeftError(
      'PEFT_QUANTIZED_PARTS',
      `webgpu: ${name} [${rows}, ${columns}] as ${format}: ${problem}.`,
      { hint: 'the checkpoint is damaged, or was quantised in another way than its config says' },
    );
  };
  const expect = (what: string, got: number, wanted: number) =>
    got === wanted || fail(`${got} ${what}, expected ${wanted}`);
  if (format === 'int8') {
    expect('bytes', packed.byteLength, elements);
    if (!(absmax instanceof Float32Array))
      return fail('its row maxima are nested, which only 4-bit formats have');
    expect('row maxima', absmax.length, rows);
    return;
  }
  checkBlockSize(blockSize);
  expect('bytes', packed.byteLength, Math.ceil(elements / 2));
  const blocks = Math.ceil(elements / blockSize);
  if (format === 'int4') expect('zero points', zeros?.length ?? 0, blocks);
  if (absmax instanceof Float32Array) expect('block maxima', absmax.length, blocks);
  else if (format === 'int4' || format === 'mxfp4')
    fail('its scales are nested, which those of nf4 and fp4 are');
  else checkNested(absmax, blocks, expect);
}

function checkNested(
  { codes, map, nestedAbsmax, nestedBlockSize }: NestedAbsmax,
  blocks: number,
  expect: (what: string, got: number, wanted: number) => unknown,
): void {
  expect('nested codes', codes.length, blocks);
  expect('values in the nested map', map.length, 256);
  expect('nested maxima', nestedAbsmax.length, Math.ceil(blocks / nestedBlockSize));
}
