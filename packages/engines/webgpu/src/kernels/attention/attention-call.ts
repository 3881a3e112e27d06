/** One call of attention, of either form, brought to what the kernels take. */
import type { TensorInfo } from '@tensorflow/tfjs';
import type { AttentionAttributes, DisentangledAttributes, DropoutAttributes } from '@peft/ops';
import type { WebgpuBackend } from '../../backend/webgpu-backend.js';
import type { Block } from '../../gpu/buffer-pool.js';
import type { KernelSource } from '../../gpu/kernel-source.js';
import { dropoutCounts, keptFactor } from '../fused/activations.js';
import { concat } from '../plain/views.js';
import { longest, type Items, type Sequences } from './items.js';
import type { Variant } from './scores.js';

export type AttentionInputs = Readonly<Partial<Record<string, TensorInfo>>>;

export interface AttentionCall extends Sequences {
  readonly backend: WebgpuBackend;
  readonly variant: Variant;
  readonly heads: number;
  readonly keyHeads: number;
  readonly q: TensorInfo;
  /** The extra rows first, `[P + Nk, Hkv·E]`. */
  readonly k: TensorInfo;
  readonly v: TensorInfo;
  readonly bias?: TensorInfo;
  /** Rows of position keys, then those of position queries. */
  readonly tables?: TensorInfo;
  /** Rows of the first of them. */
  readonly secondRows: number;
  readonly indices: readonly Int32Array[];
  readonly origin: number;
  readonly scale: number;
  readonly softCap: number;
  readonly window: number;
  readonly dropout?: DropoutAttributes;
  /** Frees what was made for the call. */
  release(): void;
}

export function attentionCall(
  backend: WebgpuBackend,
  inputs: AttentionInputs,
  attributes: AttentionAttributes & { readonly keyStarts?: Int32Array },
): AttentionCall {
  const { q, k, v, bias, extraKeys, extraValues } = inputs;
  const { heads, keyValueHeads, extra, causal, window, softCap, dropout } = attributes;
  const made: TensorInfo[] = [];
  const behind = (front: TensorInfo | undefined, own: TensorInfo): TensorInfo => {
    if (!front || extra === 0) return own;
    const both = concat(backend, [front, own], 0);
    made.push(both);
    return both;
  };
  return {
    backend,
    queryOffsets: attributes.queryOffsets,
    keyOffsets: attributes.keyOffsets,
    keyStarts: attributes.keyStarts,
    extra,
    variant: {
      size: q!.shape[1]! / heads,
      causal,
      hasWindow: window > 0,
      hasCap: softCap > 0,
      hasBias: bias !== undefined,
      hasDropout: dropout !== undefined,
      contentToPosition: false,
      positionToContent: false,
    },
    heads,
    keyHeads: keyValueHeads,
    q: q!,
    k: behind(extraKeys, k!),
    v: behind(extraValues, v!),
    bias,
    secondRows: 0,
    indices: attributes.biasIndex ? [attributes.biasIndex] : [],
    origin: attributes.biasOrigin ?? 0,
    scale: attributes.scale,
    softCap,
    window,
    dropout,
    release: () => made.forEach(({ dataId }) => backend.disposeData(dataId)),
  };
}

export function disentangledCall(
  backend: WebgpuBackend,
  inputs: AttentionInputs,
  attributes: DisentangledAttributes,
): AttentionCall {
  const { q, k, v, positionKeys, positionQueries } = inputs;
  const { offsets, heads, dropout } = attributes;
  const both = positionKeys !== undefined && positionQueries !== undefined;
  const tables = both
    ? concat(backend, [positionKeys, positionQueries], 0)
    : (positionKeys ?? positionQueries);
  return {
    backend,
    queryOffsets: offsets,
    keyOffsets: offsets,
    extra: 0,
    variant: {
      size: q!.shape[1]! / heads,
      causal: false,
      hasWindow: false,
      hasCap: false,
      hasBias: false,
      hasDropout: dropout !== undefined,
      contentToPosition: positionKeys !== undefined,
      positionToContent: positionQueries !== undefined,
    },
    heads,
    keyHeads: heads,
    q: q!,
    k: k!,
    v: v!,
    tables,
    secondRows: positionKeys ? positionKeys.shape[0]! : 0,
    indices: [attributes.contentToPositionIndex, attributes.positionToContentIndex],
    origin: attributes.relativeOrigin,
    scale: attributes.scale,
    softCap: 0,
    window: 0,
    dropout,
    release: () => both && backend.disposeData(tables!.dataId),
  };
}

/** Runs a kernel of attention over items × heads. */
export function runItems(
  call: AttentionCall,
  source: KernelSource,
  items: Items,
  groups: number,
  between: readonly TensorInfo[],
  outputs: readonly TensorInfo[],
  distances: { readonly count: number; readonly first: number } = { count: 0, first: 0 },
): void {
  const { backend, heads, keyHeads, extra, keyOffsets, indices, dropout } = call;
  const block = (tensor: TensorInfo): Block => backend.block(tensor);
  backend.runGroups(
    groups,
    source,
    [
      ...[call.q, call.k, call.v].map(block),
      ...(call.bias ? [block(call.bias)] : []),
      ...(call.tables ? [block(call.tables)] : []),
      ...between.map(block),
      backend.uploads.of(items.values),
      ...outputs.map(block),
    ],
    [
      items.count,
      heads,
      keyHeads,
      extra,
      extra + longest(keyOffsets),
      call.window,
      call.bias?.shape[1] ?? 0,
      items.tableStarts[0] ?? 0,
      indices[0]?.length ?? 0,
      call.origin,
      items.tableStarts[1] ?? 0,
      indices[1]?.length ?? 0,
      call.secondRows,
      ...(dropout ? dropoutCounts(dropout) : [0, 0, 0]),
      distances.count,
      distances.first >>> 0,
      call.queryOffsets.length - 1,
    ],
    [call.scale, call.softCap, dropout ? keptFactor(dropout) : 1],
  );
}
