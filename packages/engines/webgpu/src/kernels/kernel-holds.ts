/**
 * What each operation's kernel holds at the most while it runs, its outputs included where it makes
 * more than those; 0 is nothing beside its outputs.
 */
import type { TensorInfo } from '@tensorflow/tfjs';
import type { EngineSizing, KernelHolds, KernelName } from '@peft/ops';
import { sizeOf } from '../backend/webgpu-backend.js';
import { longest } from './attention/items.js';

type Inputs = Readonly<Record<string, TensorInfo>>;

const bytes = (...tensors: readonly (TensorInfo | undefined)[]): number =>
  tensors.reduce((sum, tensor) => sum + (tensor ? 4 * sizeOf(tensor.shape) : 0), 0);
const nothing: KernelHolds = () => 0;

/** A gradient that is the sum over the rows of a product as large as x. */
const withProduct =
  (needsSum: string): KernelHolds =>
  ({ x }, attributes) =>
    attributes[needsSum] ? bytes(x) * (attributes['needX'] ? 2 : 1) : 0;

/** Keys and values behind those that every sequence sees. */
const joinedBytes = ({ k, v, extraKeys, extraValues }: Inputs): number =>
  extraKeys ? bytes(k, v, extraKeys, extraValues) : 0;

const attention: KernelHolds = (inputs, { heads }) => {
  const joined = joinedBytes(inputs);
  const { q } = inputs as { q: TensorInfo };
  return joined && joined + bytes(q) + 4 * q.shape[0]! * (heads as number);
};

/** logΣexp and δ of each query and head. */
const statsBytes = ({ q }: Inputs, heads: unknown): number => 8 * q!.shape[0]! * (heads as number);

const attentionGradient: KernelHolds = (inputs, attributes) => {
  const { q, k, v, bias, extraKeys, extraValues } = inputs;
  const { heads, queryOffsets, keyOffsets, needBias } = attributes as {
    heads: number;
    queryOffsets: Int32Array;
    keyOffsets: Int32Array;
    needBias: boolean;
  };
  const distances = longest(queryOffsets) + longest(keyOffsets) - 1;
  const byDistance = needBias && bias ? 4 * distances * heads + 2 * bytes(bias) : 0;
  const gradients = bytes(q, k, v, extraKeys, extraValues);
  const parts = extraKeys ? bytes(k, v, extraKeys, extraValues) : 0;
  return joinedBytes(inputs) + gradients + parts + statsBytes(inputs, heads) + byDistance;
};

/** Both tables behind each other. */
const tablesBytes = ({ positionKeys, positionQueries }: Inputs): number =>
  positionKeys && positionQueries ? bytes(positionKeys, positionQueries) : 0;

const disentangled: KernelHolds = (inputs, { heads }) => {
  const tables = tablesBytes(inputs);
  const { q } = inputs as { q: TensorInfo };
  return tables && tables + bytes(q) + 4 * q.shape[0]! * (heads as number);
};

const disentangledGradient: KernelHolds = (inputs, attributes) => {
  const { q, k, v, positionKeys, positionQueries } = inputs;
  const { heads, offsets, needPositionKeys, needPositionQueries } = attributes as {
    heads: number;
    offsets: Int32Array;
    needPositionKeys: boolean;
    needPositionQueries: boolean;
  };
  const distances = 2 * longest(offsets) - 1;
  const wanted = [
    needPositionKeys ? positionKeys : undefined,
    needPositionQueries ? positionQueries : undefined,
  ];
  const byDistance = wanted.some(Boolean)
    ? 3 * 4 * distances * q!.shape[1]! + bytes(...wanted) // the sums, and one table's half of them
    : 0;
  return tablesBytes(inputs) + bytes(q, k, v) + statsBytes(inputs, heads) + byDistance;
};

const thinProducts: KernelHolds = (inputs, { rows }) => {
  const { x, y } = inputs as { x: TensorInfo; y: TensorInfo };
  const most = (rows as readonly Int32Array[]).reduce((largest, own, p) => {
    const rank = inputs[`a${p}`]!.shape[0]!;
    return Math.max(largest, 4 * own.length * (x.shape[1]! + rank + y.shape[1]!));
  }, 0);
  return bytes(y) + most;
};

const HOLDS: Readonly<Record<KernelName, KernelHolds>> = {
  PeftLayerNorm: nothing,
  PeftLayerNormGradient: withProduct('needGamma'),
  PeftRmsNorm: nothing,
  PeftRmsNormGradient: withProduct('needGamma'),
  PeftActivation: nothing,
  PeftActivationGradient: nothing,
  PeftGatedActivation: nothing,
  PeftGatedActivationGradient: nothing,
  PeftAttention: attention,
  PeftSpacedAttention: attention,
  PeftAttentionGradient: attentionGradient,
  PeftDisentangledAttention: disentangled,
  PeftDisentangledAttentionGradient: disentangledGradient,
  PeftRope: nothing,
  PeftDropout: nothing,
  PeftScaleColumns: nothing,
  PeftScaleColumnsGradient: withProduct('needScale'),
  PeftSumRows: nothing,
  PeftCrossEntropy: nothing,
  PeftCrossEntropyGradient: nothing,
  PeftGatherRows: nothing,
  PeftScatterAddRows: nothing,
  PeftAddThinProducts: thinProducts,
  PeftAdamWTensors: nothing,
  PeftLayRows: nothing,
};

export const KERNEL_HOLDS: EngineSizing['kernels'] = Object.freeze(HOLDS);
