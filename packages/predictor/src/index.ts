export { AUTOGLUON_FILTER, AUTOGLUON_METHODS, autogluonMethod, type AutogluonMethod, type AutogluonMethodOptions } from './autogluon-methods.js';
export { HYPERPARAMETER_KEYS, parseScalar, PRESETS, resolveHyperparameters, type HyperparameterInput, type HyperparameterKey, type Hyperparameters } from './hyperparameters.js';
