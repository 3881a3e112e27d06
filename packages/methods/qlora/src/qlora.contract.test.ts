import { lora } from '@peft/lora';
import { describePeftMethod } from '@peft/testing';
import { qlora } from './qlora.js';

const FORMATS = [
  { title: 'on an NF4 base', quantization: {} },
  {
    title: 'on an FP4 base with plain block maxima',
    quantization: { format: 'fp4', blockSize: 32, doubleQuantization: false },
  },
  { title: 'on an int8 base', quantization: { format: 'int8' } },
] as const;

for (const { title, quantization } of FORMATS) {
  describePeftMethod(lora, [{ title, options: { rank: 2 } }], {
    load: qlora({ quantization }).load,
    spec: (options) => qlora({ ...options, quantization }).method,
  });
}
