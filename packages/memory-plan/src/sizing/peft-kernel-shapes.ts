/** Shapes of what the toolkit's own kernels make; see `kernels.ts` of @peft/ops. */
import type { TensorInfo } from '@tensorflow/tfjs';
import type { KernelName } from '@peft/ops';
import type { Made, ShapeRule } from './kernel-shapes.js';

const like = (tensor: TensorInfo): Made => ({ shape: tensor.shape });
const when = (isWanted: unknown, tensor: TensorInfo | undefined): Made =>
  isWanted && tensor ? like(tensor) : { shape: [0] };
const rows = (tensor: TensorInfo): number =>
  tensor.shape.slice(0, -1).reduce((product, size) => product * size, 1);

export const PEFT_KERNEL_SHAPES: Readonly<Record<KernelName, ShapeRule>> = Object.freeze<
  Record<KernelName, ShapeRule>
>({
  PeftLayerNorm: ({ x }) => [like(x!), { shape: [rows(x!)] }, { shape: [rows(x!)] }],
  PeftLayerNormGradient: ({ x, gamma }, { needX, needGamma, needBeta }) => [
    when(needX, x),
    when(needGamma, gamma),
    when(needBeta, gamma),
  ],
  PeftRmsNorm: ({ x }) => [like(x!), { shape: [rows(x!)] }],
  PeftRmsNormGradient: ({ x, gamma }, { needX, needGamma }) => [
    when(needX, x),
    when(needGamma, gamma),
  ],
  PeftActivation: ({ x }) => like(x!),
  PeftActivationGradient: ({ x }) => like(x!),
  PeftGatedActivation: ({ gate }) => like(gate!),
  PeftGatedActivationGradient: ({ gate, up }) => [like(gate!), like(up!)],
  PeftAttention: ({ q }, { heads }) => [like(q!), { shape: [q!.shape[0]!, heads as number] }],
  PeftSpacedAttention: ({ q }, { heads }) => [like(q!), { shape: [q!.shape[0]!, heads as number] }],
  PeftAttentionGradient: ({ q, k, v, bias, extraKeys, extraValues }, { needBias }) => [
    like(q!),
    like(k!),
    like(v!),
    when(needBias, bias),
    when(true, extraKeys),
    when(true, extraValues),
  ],
  PeftDisentangledAttention: ({ q }, { heads }) => [
    like(q!),
    { shape: [q!.shape[0]!, heads as number] },
  ],
  PeftDisentangledAttentionGradient: (
    { q, k, v, positionKeys, positionQueries },
    { needPositionKeys, needPositionQueries },
  ) => [
    like(q!),
    like(k!),
    like(v!),
    when(needPositionKeys, positionKeys),
    when(needPositionQueries, positionQueries),
  ],
  PeftRope: ({ x }) => like(x!),
  PeftDropout: ({ x }) => like(x!),
  PeftScaleColumns: ({ x }) => like(x!),
  PeftScaleColumnsGradient: ({ x, scale }, { needX, needScale }) => [
    when(needX, x),
    when(needScale, scale),
  ],
  PeftSumRows: ({ x }) => ({ shape: [x!.shape.at(-1) ?? 1] }),
  PeftCrossEntropy: ({ logits }) => [{ shape: [rows(logits!)] }, { shape: [rows(logits!)] }],
  PeftCrossEntropyGradient: ({ logits }) => like(logits!),
  PeftAddThinProducts: ({ y }) => like(y!),
  PeftAdamWTensors: ({ values }) => [like(values!), like(values!), like(values!)],
  PeftLayRows: ({ x, added }, { size }) => ({
    shape: [size as number, ...(x ?? added)!.shape.slice(1)],
  }),
  PeftGatherRows: ({ x }, { rows: chosen }) => ({
    shape: [(chosen as Int32Array).length, ...x!.shape.slice(1)],
  }),
  PeftScatterAddRows: ({ x }, { size }) => ({ shape: [size as number, ...x!.shape.slice(1)] }),
});
