/** A quantised weight's parts under the names that bitsandbytes gives them in a checkpoint. */
import { PeftError } from '@peft/errors';
import { codeBook, type NestedAbsmax, type QuantizedParts } from '@peft/ops';
import type { NewTensor } from '../../safetensors/write-safetensors.js';
import { encodeQuantState } from './quant-state.js';

/**
 * @param parts as an engine holds them; the weight's own name is `parts.name`.
 * @param dtype of the weight before it was quantised, a torch name without `torch.`: what
 *   dequantising gives in Python.
 * @param read gives the parts again when their turn to be written comes, so that they need not be
 *   kept; `packed` of the parts themselves is not looked at then. Default: they are kept.
 * @throws PEFT_WEIGHT_FORMAT for a weight that came quantised in another way
 */
export function quantizedTensors(
  parts: QuantizedParts,
  dtype: string,
  read: () => QuantizedParts = () => parts,
): NewTensor[] {
  const { name, format, shape, absmax } = parts;
  if (format === 'int4' || format === 'mxfp4')
    throw new PeftError(
      'PEFT_WEIGHT_FORMAT',
      `hub: ${name} is stored as ${format}, which bitsandbytes does not have.`,
      { hint: 'the checkpoint is quantised already: keep its own files' },
    );
  if (absmax instanceof Float32Array) {
    const maxima = (suffix: string): NewTensor => ({
      name: suffix,
      dtype: 'F32',
      shape: [absmax.length],
      data: () => read().absmax as Float32Array,
    });
    if (format === 'int8') {
      const module = name.replace(/\.weight$/, '');
      return [
        { name, dtype: 'I8', shape, data: () => read().packed },
        maxima(`${module}.SCB`),
        { name: `${module}.weight_format`, dtype: 'U8', shape: [], data: Uint8Array.of(0) },
      ];
    }
    return [...fourBit(parts, format, dtype, read), maxima(`${name}.absmax`)];
  }
  const nested = () => read().absmax as NestedAbsmax;
  return [
    ...fourBit(parts, format as 'nf4', dtype, read),
    {
      name: `${name}.absmax`,
      dtype: 'U8',
      shape: [absmax.codes.length],
      data: () => nested().codes,
    },
    {
      name: `${name}.nested_absmax`,
      dtype: 'F32',
      shape: [absmax.nestedAbsmax.length],
      data: () => nested().nestedAbsmax,
    },
    {
      name: `${name}.nested_quant_map`,
      dtype: 'F32',
      shape: [absmax.map.length],
      data: () => nested().map,
    },
  ];
}

/** What both kinds of block maxima have beside them. */
function fourBit(
  { name, shape, absmax, blockSize = 64 }: QuantizedParts,
  format: 'nf4' | 'fp4',
  dtype: string,
  read: () => QuantizedParts,
): NewTensor[] {
  const nested =
    absmax instanceof Float32Array
      ? {}
      : { nested: { blockSize: absmax.nestedBlockSize, offset: absmax.offset } };
  const state = encodeQuantState(
    { format, shape: [shape[0]!, shape[1]!], blockSize, ...nested },
    dtype,
  );
  return [
    {
      name,
      dtype: 'U8',
      shape: [Math.ceil((shape[0]! * shape[1]!) / 2), 1],
      data: () => read().packed,
    },
    {
      name: `${name}.quant_map`,
      dtype: 'F32',
      shape: [16],
      data: Float32Array.from(codeBook(format)),
    },
    {
      name: `${name}.quant_state.bitsandbytes__${format}`,
      dtype: 'U8',
      shape: [state.length],
      data: state,
    },
  ];
}
