export { codeBook, FP4, NF4, type FourBitFormat } from './code-books.js';
export { dequantizeBlockwise, dynamicMap, quantizeBlockwise } from './dynamic-map.js';
export { checkBlockSize, dequantize4Bit, quantize4Bit, type FourBitWeight } from './four-bit.js';
export { dequantizeInt8Rows, quantizeInt8Rows, type Int8Weight } from './int8-rows.js';
export { quantizedRows } from './quantized-rows.js';
export { expandAbsmax, nestAbsmax } from './nested-absmax.js';
