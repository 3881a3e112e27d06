/**
 * Opens one safetensors file: the header is read and checked at once, tensors when they are asked
 * for.
 */
import type { TensorSource } from '@peft/ops';
import { ReadOnlyFile } from '../files/read-only-file.js';
import { fileSource, storeOf, type TensorStore } from '../tensor-store.js';
import { headerLength, parseSafetensorsHeader } from './safetensors-header.js';

/**
 * Opens a `.safetensors` file. Each source carries `file`, so that an engine may map its bytes
 * instead of reading them.
 *
 * @returns names in the header's order; the caller closes the store.
 * @throws PEFT_FILE_OPEN the file is missing or not readable.
 * @throws PEFT_SAFETENSORS_HEADER, PEFT_SAFETENSORS_DUPLICATE, PEFT_SAFETENSORS_METADATA,
 *   PEFT_SAFETENSORS_DTYPE, PEFT_SAFETENSORS_SHAPE, PEFT_SAFETENSORS_OFFSETS the file lies about
 *   itself.
 */
export function openSafetensors(path: string): TensorStore {
  const file = new ReadOnlyFile(path);
  try {
    const length = headerLength(file.read(0, Math.min(8, file.size)), file.size, file.path);
    const start = 8 + length;
    const header = parseSafetensorsHeader(file.read(8, length), file.size - start, file.path);
    const sources = new Map<string, TensorSource>();
    for (const { name, dtype, shape, begin } of header.spans.values())
      sources.set(name, fileSource(file, name, dtype, shape, start + begin));
    return storeOf(sources, header.metadata, () => file.close());
  } catch (error) {
    file.close();
    throw error;
  }
}
