/** Attention and disentangled attention with their gradients. */
import type { TensorInfo } from '@tensorflow/tfjs';
import type { AttentionAttributes, DisentangledAttributes } from '@peft/ops';
import { PeftError } from '@peft/errors';
import { register } from '../../backend/register.js';
import type { WebgpuBackend } from '../../backend/webgpu-backend.js';
import type { KernelSource } from '../../gpu/kernel-source.js';
import { scatterAddRows } from '../plain/rows.js';
import { slice, transpose } from '../plain/views.js';
import {
  attentionCall,
  disentangledCall,
  runItems,
  type AttentionCall,
  type AttentionInputs,
} from './attention-call.js';
import { forwardSource } from './forward-source.js';
import {
  distanceGradientSource,
  keyGradientSource,
  queryGradientSource,
  statsSource,
} from './gradient-sources.js';
import { keyBlocks, longest, queryBlocks, wholeSequences } from './items.js';
import { blockOf, variantName, type Variant } from './scores.js';

const SOURCES = new Map<string, KernelSource>();

function sourceOf(
  kind: string,
  variant: Variant,
  make: (variant: Variant) => KernelSource,
): KernelSource {
  const key = `${kind} ${variantName(variant)}`;
  let source = SOURCES.get(key);
  if (!source) {
    requireFitting(variant);
    source = make(variant);
    SOURCES.set(key, source);
  }
  return source;
}

/**
 * Widest head whose tiles fit into the least workgroup memory that WebGPU promises, 16 KiB: two rows
 * of a head and two of scores, of one query or key.
 */
const MOST_SIZE = 1920;

function requireFitting({ size }: Variant): void {
  if (size > MOST_SIZE)
    throw new PeftError(
      'PEFT_ATTENTION_SHAPE',
      `webgpu: attention has heads of ${size}, and ${MOST_SIZE} is the most here.`,
      { hint: 'train this model with another engine' },
    );
}

function forward(call: AttentionCall): TensorInfo[] {
  const { backend, variant, heads, q, indices } = call;
  const outputs = [backend.make(q.shape), backend.make([q.shape[0]!, heads])];
  const items = queryBlocks(call, blockOf(variant.size), indices);
  const source = sourceOf('forward', variant, forwardSource);
  runItems(call, source, items, items.count * heads, [], outputs);
  return outputs;
}

interface Gradients {
  readonly dq: TensorInfo;
  /** Of the extra rows and the others. */
  readonly dk: TensorInfo;
  readonly dv: TensorInfo;
  /** By distance: `[M, H]` of a bias, `[2·M, H·E]` of position tables. */
  readonly byDistance?: TensorInfo;
}

function gradients(
  call: AttentionCall,
  inputs: AttentionInputs,
  needsDistances: boolean,
): Gradients {
  const { backend, variant, heads, keyHeads, q, k, v, indices } = call;
  const { y, dy, logSumExp } = inputs as Record<'y' | 'dy' | 'logSumExp', TensorInfo>;
  const rows = q.shape[0]! * heads;
  const stats = backend.make([rows, 2]);
  backend.runOver(
    rows,
    sourceOf(`stats`, variant, ({ size }) => statsSource(size)),
    [y, dy, logSumExp, stats].map((each) => backend.block(each)),
    [rows],
  );
  const between = [stats, dy];
  const block = blockOf(variant.size);
  const dq = backend.make(q.shape);
  const queries = queryBlocks(call, block, indices);
  runItems(
    call,
    sourceOf('dq', variant, queryGradientSource),
    queries,
    queries.count * heads,
    between,
    [dq],
  );
  const [dk, dv] = [backend.make(k.shape), backend.make(v.shape)];
  const keys = keyBlocks(call, block, indices);
  runItems(call, sourceOf('dk', variant, keyGradientSource), keys, keys.count * keyHeads, between, [
    dk,
    dv,
  ]);
  const byDistance = needsDistances ? distanceGradients(call, between) : undefined;
  backend.disposeData(stats.dataId);
  return { dq, dk, dv, byDistance };
}

/** Distances of a bias are j − i, those of position tables i − j. */
function distancesOf({ queryOffsets, keyOffsets, variant }: AttentionCall): {
  readonly count: number;
  readonly first: number;
} {
  const [queries, keys] = [longest(queryOffsets), longest(keyOffsets)];
  return { count: queries + keys - 1, first: 1 - (variant.hasBias ? keys : queries) };
}

function distanceGradients(call: AttentionCall, between: readonly TensorInfo[]): TensorInfo {
  const { backend, variant, heads, q, indices } = call;
  const distances = distancesOf(call);
  const out = backend.make(
    variant.hasBias ? [distances.count, heads] : [2 * distances.count, q.shape[1]!],
  );
  runItems(
    call,
    sourceOf('distances', variant, distanceGradientSource),
    wholeSequences(call, indices),
    distances.count * heads,
    between,
    [out],
    distances,
  );
  return out;
}

/** The rows that distances read of a table, added up: `[rows, width]`. */
function intoTable(
  call: AttentionCall,
  byDistance: TensorInfo,
  index: Int32Array,
  shape: readonly number[],
): TensorInfo {
  const { count, first } = distancesOf(call);
  const rows = Int32Array.from(
    { length: count },
    (_, m) => index[Math.min(Math.max(m + first + call.origin, 0), index.length - 1)]!,
  );
  const { backend } = call;
  return scatterAddRows(backend, byDistance, backend.uploads.of(rows), [count, shape[1]!], shape);
}

const none = (backend: WebgpuBackend): TensorInfo => backend.make([0]);

function dispose(backend: WebgpuBackend, ...tensors: readonly (TensorInfo | undefined)[]): void {
  for (const tensor of tensors) if (tensor) backend.disposeData(tensor.dataId);
}

/** Registers attention, disentangled attention and their gradients. */
export function registerAttention(): void {
  for (const name of ['PeftAttention', 'PeftSpacedAttention'])
    register<AttentionAttributes>(name, ({ inputs, attributes, backend }) => {
      const call = attentionCall(backend, inputs, attributes);
      const outputs = forward(call);
      call.release();
      return outputs;
    });
  register<AttentionAttributes & { needBias: boolean }>(
    'PeftAttentionGradient',
    ({ inputs, attributes, backend }) => {
      const call = attentionCall(backend, inputs, attributes);
      const needsBias = attributes.needBias && inputs['bias'] !== undefined;
      const { dq, dk, dv, byDistance } = gradients(call, inputs, needsBias);
      let dbias = none(backend);
      if (byDistance) {
        const [heads, width] = inputs['bias']!.shape as [number, number];
        const table = intoTable(call, byDistance, attributes.biasIndex!, [width, heads]);
        dispose(backend, dbias);
        dbias = transpose(backend, table, [1, 0]);
        dispose(backend, table, byDistance);
      }
      const { extra } = attributes;
      const outputs =
        extra === 0
          ? [dq, dk, dv, dbias, none(backend), none(backend)]
          : [
              dq,
              part(backend, dk, extra, dk.shape[0]! - extra),
              part(backend, dv, extra, dv.shape[0]! - extra),
              dbias,
              part(backend, dk, 0, extra),
              part(backend, dv, 0, extra),
            ];
      if (extra > 0) dispose(backend, dk, dv);
      call.release();
      return outputs;
    },
  );
  register<DisentangledAttributes>(
    'PeftDisentangledAttention',
    ({ inputs, attributes, backend }) => {
      const call = disentangledCall(backend, inputs, attributes);
      const outputs = forward(call);
      call.release();
      return outputs;
    },
  );
  register<DisentangledAttributes & { needPositionKeys: boolean; needPositionQueries: boolean }>(
    'PeftDisentangledAttentionGradient',
    ({ inputs, attributes, backend }) => {
      const call = disentangledCall(backend, inputs, attributes);
      const wanted = [
        attributes.needPositionKeys ? inputs['positionKeys'] : undefined,
        attributes.needPositionQueries ? inputs['positionQueries'] : undefined,
      ];
      const needsTables = wanted.some((table) => table !== undefined);
      const { dq, dk, dv, byDistance } = gradients(call, inputs, needsTables);
      const { count } = distancesOf(call);
      const tables = wanted.map((table, n) => {
        if (!table) return none(backend);
        const own = part(backend, byDistance!, n * count, count);
        const sum = intoTable(call, own, call.indices[n]!, table.shape);
        dispose(backend, own);
        return sum;
      });
      dispose(backend, byDistance);
      call.release();
      return [dq, dk, dv, ...tables];
    },
  );
}

const part = (backend: WebgpuBackend, x: TensorInfo, row: number, rows: number): TensorInfo =>
  slice(backend, x, [row, 0], [rows, x.shape[1]!]);
