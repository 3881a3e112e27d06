/** The TensorFlow engine under its name. */
import { defineEngine } from '@peft/ops';
import { tensorflowSizing } from './sizing/tensorflow-sizing.js';
import { createTensorflowEngine } from './tensorflow-engine.js';

/** What `openModel` of `@peft/core` makes the engine with, and `withEngines` of `@peft/predictor`. */
export const tensorflowEngine = defineEngine({
  name: 'tensorflow',
  create: (options) => createTensorflowEngine(options),
  sizing: (options) => tensorflowSizing(options),
});
