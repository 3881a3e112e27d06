export { activationNamed } from './activations/activation-named.js';
export { activate } from './activations/activation.js';
export { add } from './activations/add.js';
export { arrayKernel, type PeftArrayKernels } from './tape/array-kernels.js';
export { attention, spacedRows, type AttentionOptions } from './attention/attention.js';
export { checkpoint } from './tape/checkpoint.js';
export {
  mix32,
  randomKey,
  randomNormal,
  randomUniform,
  type RandomKey,
} from './random/counter-random.js';
export { clip } from './activations/clip.js';
export { crossEntropy, IGNORED_LABEL, type CrossEntropyOptions } from './losses/cross-entropy.js';
export {
  binaryCrossEntropy,
  type BinaryCrossEntropyOptions,
} from './losses/binary-cross-entropy.js';
export { logSigmoid } from './losses/log-sigmoid.js';
export { focal } from './losses/focal.js';
export { embeddingNoise } from './random/embedding-noise.js';
export { listCrossEntropy } from './losses/list-cross-entropy.js';
export {
  debertaRelativeIndices,
  debertaTableRows,
  type DebertaPositions,
  type RelativeIndices,
} from './attention/deberta-relative-indices.js';
export { decodeFloat32, encodeBfloat16, encodeFloat16 } from './weights/decode-float32.js';
export { differentiable, type GradientCall, type Needs, type Save } from './tape/differentiable.js';
export {
  disentangledAttention,
  type DisentangledOptions,
} from './attention/disentangled-attention.js';
export { dropout, dropoutFactors } from './random/dropout.js';
export { embed } from './rows/embed.js';
export {
  defineEngine,
  isEngineDefinition,
  type EngineDefinition,
  type EngineOptions,
  type KnownEngines,
  type SizingOptions,
} from './weights/define-engine.js';
export type {
  AddedGradients,
  AddedGradientsWanted,
  AddedProduct,
  BlockCoder,
  Engine,
  FreezeOptions,
  FrozenWeight,
  OnePassLoss,
  OutputLayerOptions,
  NestedAbsmax,
  QuantizedParts,
} from './weights/engine.js';
export {
  isQuantizedFormat,
  type ConvertibleFormat,
  type StoredOnlyFormat,
  type WeightFormat,
} from './weights/weight-format.js';
export { freezeTensor, isFrozenTensor } from './weights/frozen-tensor.js';
export { gatedActivation } from './activations/gated-activation.js';
export { eachRange, layRows, rowsOfPlan } from './rows/lay-rows.js';
export { checkRows, gatherRows, scatterAddRows } from './rows/gather-rows.js';
export { insertRows, type InsertedRows } from './rows/insert-rows.js';
export { hasDeviceMemory, type DeviceMemory } from './tape/device-memory.js';
export { onBackend, onHost, onHostBackend } from './tape/on-backend.js';
export { heldValues, type HeldMemory } from './tape/held-values.js';
export { readInScope, readValues } from './tape/read-values.js';
export {
  gradientsOf,
  recordGradients,
  variableGradients,
  type RecordedValue,
} from './tape/gradients.js';
export { hasKernel, runKernel, watchReferences, withReferenceKernels } from './tape/kernel.js';
export type {
  ActivationName,
  AdamWNumber,
  AttentionAttributes,
  DisentangledAttributes,
  DropoutAttributes,
  KernelInputs,
  KernelName,
  PeftKernels,
  RowPlan,
} from './tape/kernels.js';
export { layerNorm } from './norms/layer-norm.js';
export { addThinProducts, type ThinProduct } from './products/add-thin-products.js';
export { linearAdded } from './products/linear-added.js';
export { linearActivated } from './products/linear-activated.js';
export {
  linearCrossEntropy,
  type LinearCrossEntropyOptions,
} from './losses/linear-cross-entropy.js';
export { isFrozenWeight, linear, type Weight } from './products/linear.js';
export { matrixInverse } from './decompositions/matrix-inverse.js';
export { dominantSvd } from './decompositions/dominant-svd.js';
export { symmetricEigen, type Eigen } from './decompositions/symmetric-eigen.js';
export {
  randomizedSvd,
  rowsOf,
  truncatedQr,
  truncatedSvd,
  type Rows,
  type Svd,
} from './decompositions/truncated-svd.js';
export { numpyGenerator, type NumpyGenerator } from './random/numpy-generator.js';
export { standardNormal } from './random/standard-normal.js';
export {
  mersenneTwister,
  torchNormal,
  torchPermutation,
  torchUniform,
} from './random/mersenne-twister.js';
export { meanPool } from './rows/mean-pool.js';
export { checkOffsets, longestSequence, offsetsOf, positionsOf } from './positions/offsets.js';
export { product } from './products/product.js';
export {
  relativePositionBuckets,
  type RelativeBucketOptions,
} from './attention/relative-position-buckets.js';
export { rmsNorm } from './norms/rms-norm.js';
export {
  ropeFrequencies,
  type RopeFrequencies,
  type RopeFrequencyOptions,
  type RopeScaling,
} from './positions/rope-frequencies.js';
export { ropeTables, type RopeTableOptions, type RopeTables } from './positions/rope-tables.js';
export { rope } from './positions/rope.js';
export { scaleColumns } from './rows/scale-columns.js';
export { sequenceGate, sequencesOfRows, spreadOverTokens } from './rows/sequence-gate.js';
export {
  groupSequences,
  joinHeads,
  splitHeads,
  type GroupedRows,
  type SequenceGroup,
} from './attention/sequence-groups.js';
export { segmentSums } from './rows/segment-sums.js';
export { sumRows } from './rows/sum-rows.js';
export {
  memorySource,
  STORED_BYTES,
  type StoredBlocks,
  type StoredDtype,
  type TensorSource,
} from './weights/tensor-source.js';
export type {
  CardSizing,
  EngineSizing,
  KernelHolds,
  SizedProduct,
  SizedWeight,
  WeightUses,
} from './weights/engine-sizing.js';
export { weightBytes, type QuantizedSize } from './weights/weight-bytes.js';
export * from './quantization/index.js';
