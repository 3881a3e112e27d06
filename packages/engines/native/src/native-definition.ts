/** The native engine under its name. */
import { defineEngine } from '@peft/ops';
import { createNativeEngine } from './native-engine.js';
import { nativeSizing } from './native-sizing.js';

/** What `openModel` of `@peft/core` makes the engine with, and `withEngines` of `@peft/predictor`. */
export const nativeEngine = defineEngine({
  name: 'native',
  create: async (options) => createNativeEngine(options),
  sizing: () => nativeSizing,
});
