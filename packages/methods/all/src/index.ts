export { allMethods, type NamedMethod } from './all-methods.js';
export {
  AUTOGLUON_FILTER,
  AUTOGLUON_METHODS,
  autogluonMethod,
  isAutogluonMethod,
  type AutogluonMethod,
  type AutogluonMethodOptions,
} from './autogluon-methods.js';
export { fullFineTuning, type FullFineTuningConfig } from './full-fine-tuning.js';
export { listMethods, methodFacts, type MethodFacts, type MethodLine } from './list-methods.js';
export {
  methodNamed,
  methodNames,
  type KnownMethodName,
  type MethodNamedSettings,
} from './method-named.js';
export { routeLora, type RouteLoraOptions } from '@peft/lora';
