export { createNativeEngine, type NativeEngineOptions } from './native-engine.js';
export { loadBinding } from './binding/load-binding.js';
export type { InstructionSet, NativeInfo } from './binding/machine.js';
export { nativeEngine } from './native-definition.js';
export { nativeSizing } from './native-sizing.js';
