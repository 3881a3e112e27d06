/** A quantised weight's parts under the names that bitsandbytes gives them in a checkpoint. */
import { codeBook, type QuantizedParts } from '@peft/ops';
import type { NewTensor } from '../safetensors/write-safetensors.js';
import { encodeQuantState } from './quant-state.js';

/**
 * @param parts as an engine holds them.
 * @param dtype of the weight before it was quantised, a torch name without `torch.`: what dequantising gives in Python.
 * @returns tensors to be written; the weight's own name is `parts.name`.
 */
export function quantizedTensors(parts: QuantizedParts, dtype: string): NewTensor[] {
  const { name, format, shape, packed, absmax } = parts;
  if (format === 'int8') {
    const module = name.replace(/\.weight$/, '');
    return [
      { name, dtype: 'I8', shape, data: packed },
      { name: `${module}.SCB`, dtype: 'F32', shape: [shape[0]!], data: absmax as Float32Array },
      { name: `${module}.weight_format`, dtype: 'U8', shape: [], data: Uint8Array.of(0) },
    ];
  }
  const nested = absmax instanceof Float32Array ? undefined : absmax;
  const state = encodeQuantState({ format, shape: [shape[0]!, shape[1]!], blockSize: parts.blockSize ?? 64, ...(nested && { nested: { blockSize: nested.nestedBlockSize, offset: nested.offset } }) }, dtype);
  const list = (suffix: string, type: 'F32' | 'U8', data: Float32Array | Uint8Array): NewTensor => ({ name: `${name}.${suffix}`, dtype: type, shape: [data.length], data });
  return [
    { name, dtype: 'U8', shape: [packed.length, 1], data: packed },
    ...(nested ? [list('absmax', 'U8', nested.codes), list('nested_absmax', 'F32', nested.nestedAbsmax), list('nested_quant_map', 'F32', nested.map)] : [list('absmax', 'F32', absmax as Float32Array)]),
    list('quant_map', 'F32', Float32Array.from(codeBook(format))),
    list(`quant_state.bitsandbytes__${format}`, 'U8', state),
  ];
}
