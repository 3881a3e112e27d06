export { createNativeEngine, type NativeEngineOptions } from './native-engine.js';
export { loadBinding, type InstructionSet, type NativeInfo } from './binding.js';
