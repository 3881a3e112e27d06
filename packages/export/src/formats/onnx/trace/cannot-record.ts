import { unsupported } from '../../unsupported.js';

/** What a forward pass does that a graph of ONNX operators cannot. */
export const cannotRecord = (what: string): Error =>
  unsupported('onnx', `cannot record this model: ${what}`, 'use safetensors or gguf');
