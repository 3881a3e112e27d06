/** The portable engine under its name. */
import { defineEngine } from '@peft/ops';
import { createPortableEngine } from './portable-engine.js';
import { portableSizing } from './portable-sizing.js';

/**
 * What `openModel` of `@peft/core` makes the engine with, and `withEngines` of `@peft/predictor`.
 * It computes in float32 on one thread, whatever it is asked for.
 */
export const portableEngine = defineEngine({
  name: 'portable',
  create: () => createPortableEngine(),
  sizing: () => portableSizing,
});
