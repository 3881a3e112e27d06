/** Attention and disentangled attention with their gradients. */
import type { TensorInfo } from '@tensorflow/tfjs';
import type { AttentionAttributes, DisentangledAttributes } from '@peft/ops';
import type { AttentionOptions, DisentangledOptions } from '../binding/attention.js';
import type { NativeBackend } from '../native-backend.js';
import { register } from './register.js';

type Inputs = Readonly<Record<string, TensorInfo>>;
type ForwardAttributes = AttentionAttributes & { readonly keyStarts?: Int32Array };

/** Registers attention, disentangled attention and their gradients. */
export function registerAttention(): void {
  for (const name of ['PeftAttention', 'PeftSpacedAttention'])
    register<ForwardAttributes>(name, ({ inputs, attributes, backend }) => {
      const q = inputs['q']!;
      const [y, logSumExp] = [
        backend.create(q.shape),
        backend.create([q.shape[0]!, attributes.heads]),
      ];
      backend.binding.attention(
        ...operands(backend, inputs),
        y.values,
        logSumExp.values,
        attentionOptions(backend, inputs, attributes),
      );
      return [y.info, logSumExp.info];
    });
  register<AttentionAttributes & { needBias: boolean }>(
    'PeftAttentionGradient',
    ({ inputs, attributes, backend }) => {
      const { q, k, v, y, logSumExp, dy } = inputs as Record<string, TensorInfo>;
      const outputs = [
        backend.create(q!.shape),
        backend.create(k!.shape),
        backend.create(v!.shape),
      ] as const;
      const dbias = absentOr(backend, attributes.needBias ? inputs['bias'] : undefined);
      const dextraKeys = absentOr(backend, inputs['extraKeys']);
      const dextraValues = absentOr(backend, inputs['extraValues']);
      backend.binding.attentionGradient(
        ...operands(backend, inputs),
        backend.values(y!),
        backend.values(logSumExp!),
        backend.values(dy!),
        outputs[0].values,
        outputs[1].values,
        outputs[2].values,
        dbias.values,
        dextraKeys.values,
        dextraValues.values,
        attentionOptions(backend, inputs, attributes),
      );
      return [...outputs.map(({ info }) => info), dbias.info, dextraKeys.info, dextraValues.info];
    },
  );
  register<DisentangledAttributes>(
    'PeftDisentangledAttention',
    ({ inputs, attributes, backend }) => {
      const q = inputs['q']!;
      const [y, logSumExp] = [
        backend.create(q.shape),
        backend.create([q.shape[0]!, attributes.heads]),
      ];
      backend.binding.disentangledAttention(
        ...positionOperands(backend, inputs),
        y.values,
        logSumExp.values,
        disentangledOptions(backend, inputs, attributes),
      );
      return [y.info, logSumExp.info];
    },
  );
  register<DisentangledAttributes & { needPositionKeys: boolean; needPositionQueries: boolean }>(
    'PeftDisentangledAttentionGradient',
    ({ inputs, attributes, backend }) => {
      const { q, k, v, y, logSumExp, dy } = inputs as Record<string, TensorInfo>;
      const outputs = [
        backend.create(q!.shape),
        backend.create(k!.shape),
        backend.create(v!.shape),
      ] as const;
      const dpositionKeys = absentOr(
        backend,
        attributes.needPositionKeys ? inputs['positionKeys'] : undefined,
      );
      const dpositionQueries = absentOr(
        backend,
        attributes.needPositionQueries ? inputs['positionQueries'] : undefined,
      );
      backend.binding.disentangledAttentionGradient(
        ...positionOperands(backend, inputs),
        backend.values(y!),
        backend.values(logSumExp!),
        backend.values(dy!),
        outputs[0].values,
        outputs[1].values,
        outputs[2].values,
        dpositionKeys.values,
        dpositionQueries.values,
        disentangledOptions(backend, inputs, attributes),
      );
      return [...outputs.map(({ info }) => info), dpositionKeys.info, dpositionQueries.info];
    },
  );
}

const valuesOrNull = (
  backend: NativeBackend,
  tensor: TensorInfo | undefined,
): Float32Array | null => (tensor ? backend.values(tensor) : null);

/** The gradient of an input that is there; else a tensor of shape [0], and null for the addon. */
function absentOr(
  backend: NativeBackend,
  input: TensorInfo | undefined,
): { readonly info: TensorInfo; readonly values: Float32Array | null } {
  return input ? backend.create(input.shape) : { info: backend.create([0]).info, values: null };
}

function operands(backend: NativeBackend, { q, k, v, bias, extraKeys, extraValues }: Inputs) {
  return [
    backend.values(q!),
    backend.values(k!),
    backend.values(v!),
    valuesOrNull(backend, bias),
    valuesOrNull(backend, extraKeys),
    valuesOrNull(backend, extraValues),
  ] as const;
}

function positionOperands(
  backend: NativeBackend,
  { q, k, v, positionKeys, positionQueries }: Inputs,
) {
  return [
    backend.values(q!),
    backend.values(k!),
    backend.values(v!),
    valuesOrNull(backend, positionKeys),
    valuesOrNull(backend, positionQueries),
  ] as const;
}

function attentionOptions(
  backend: NativeBackend,
  inputs: Inputs,
  attributes: ForwardAttributes,
): AttentionOptions {
  const {
    queryOffsets,
    keyOffsets,
    heads,
    keyValueHeads,
    scale,
    causal,
    window,
    softCap,
    extra,
    dropout,
  } = attributes;
  return {
    queryOffsets,
    keyOffsets,
    keyStarts: attributes.keyStarts,
    keyRows: inputs['k']!.shape[0],
    heads,
    keyValueHeads,
    scale,
    causal,
    window,
    softCap,
    extra,
    headSize: inputs['q']!.shape[1]! / heads,
    biasIndex: attributes.biasIndex ?? null,
    biasOrigin: attributes.biasOrigin ?? 0,
    biasColumns: inputs['bias']?.shape[1] ?? 0,
    dropoutRate: dropout?.rate ?? 0,
    dropoutKey0: dropout?.key[0] ?? 0,
    dropoutKey1: dropout?.key[1] ?? 0,
    bf16: backend.bf16,
  };
}

function disentangledOptions(
  backend: NativeBackend,
  inputs: Inputs,
  attributes: DisentangledAttributes,
): DisentangledOptions {
  const {
    offsets,
    heads,
    scale,
    contentToPositionIndex,
    positionToContentIndex,
    relativeOrigin,
    dropout,
  } = attributes;
  return {
    offsets,
    heads,
    scale,
    contentToPositionIndex,
    positionToContentIndex,
    relativeOrigin,
    headSize: inputs['q']!.shape[1]! / heads,
    positions: (inputs['positionKeys'] ?? inputs['positionQueries'])?.shape[0] ?? 0,
    dropoutRate: dropout?.rate ?? 0,
    dropoutKey0: dropout?.key[0] ?? 0,
    dropoutKey1: dropout?.key[1] ?? 0,
    bf16: backend.bf16,
  };
}
