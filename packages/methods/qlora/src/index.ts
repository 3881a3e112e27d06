export {
  PAPER_QUANTIZATION,
  qlora,
  type Qlora,
  type QloraOptions,
  quantizedBase,
} from './qlora.js';
export { saveQuantized, type SaveQuantizedOptions } from './save-quantized.js';
