export { fixtureTensors, type FixtureTensor } from './fixture-tensors.js';
export {
  compareGradients,
  expectGradients,
  type GradientCheckOptions,
  type GradientComparison,
} from './numeric-gradient.js';
export { seededTensor, seededValues } from './seeded-tensor.js';
export { toBeAllclose, type Numbers, type Tolerance } from './to-be-allclose.js';
export { describeEngine, type EngineContractOptions } from './describe-engine.js';
export { describeKernels } from './describe-kernels.js';
export { describePeftMethod } from './describe-peft-method.js';
export type { MethodCase, MethodContractOptions } from './method-contract-options.js';
export { onShapesInTurn } from './on-shapes-in-turn.js';
export { moveParameters, useModel, usePortableEngine, useTemporaryFolder } from './set-up.js';
export { tinyModels, type TinyModel } from './tiny-models.js';
