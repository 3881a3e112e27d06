export { actAsDevice, type ActedDevice } from './act-as-device.js';
export { fixtureTensors, type FixtureTensor } from './fixture-tensors.js';
export {
  compareGradients,
  expectGradients,
  type GradientCheckOptions,
  type GradientComparison,
} from './numeric-gradient.js';
export { seededTensor, seededValues } from './seeded-tensor.js';
export { toBeAllclose, type Numbers, type Tolerance } from './to-be-allclose.js';
export { describeEngine, type EngineContractOptions } from './contracts/describe-engine.js';
export { describeKernels } from './contracts/describe-kernels.js';
export { describePeftMethod } from './contracts/describe-peft-method.js';
export type { MethodCase, MethodContractOptions } from './contracts/method-contract-options.js';
export { onShapesInTurn } from './contracts/on-shapes-in-turn.js';
export { moveParameters, useModel, usePortableEngine, useTemporaryFolder } from './set-up.js';
export { tinyModels, type TinyModel } from './tiny-models.js';
