/** The tensors of a model as llama.cpp names and stores them. */
import type { ParameterSpec } from '@peft/core';
import { toPairs, type GgufFamily, type GgufForm, namesOf } from '@peft/hub';
import type { DecoderConfig } from '@peft/models';
import type { TrainedModel } from '@peft/predictor';
import { foldedPieces, foldedValues } from '../../model/folded-values.js';
import { unsupported } from '../unsupported.js';
import { queryFactor } from './model-metadata.js';

/** A parameter under its GGUF name. */
export interface ParameterPlace {
  readonly name: string;
  /** `[out, in]`. */
  readonly shape: readonly number[];
  /**
   * float32 values with the adapter folded in, in llama.cpp's order: pieces of whole rows, each of
   * which counts until the next one is asked for.
   */
  values(): Iterable<Float32Array>;
}

/** @throws PEFT_EXPORT_UNSUPPORTED for a parameter that the family has no name for */
export function ggufParameters({ model }: TrainedModel, family: GgufFamily): ParameterPlace[] {
  const { parameters, layers } = model.description;
  const names = new Map(
    namesOf(family, layers.decoder).map((name) => [name.huggingFace, name] as const),
  );
  const config = model.config as DecoderConfig;
  const factor = queryFactor(family.architecture, config);
  return parameters.map((spec: ParameterSpec) => {
    const found = names.get(spec.name);
    if (!found)
      throw unsupported(
        'llama.cpp',
        `has no place for ${spec.name} in ${family.architecture}`,
        'use safetensors',
      );
    const isQuery = factor !== 1 && scaledBy(family.architecture, spec.name);
    return {
      name: found.gguf,
      shape: spec.shape,
      *values() {
        const isPlain = found.form === undefined || found.form === 'plus-one';
        for (const piece of isPlain ? foldedPieces(model, spec) : [foldedValues(model, spec)]) {
          const values = inForm(piece, found.form, spec, config);
          yield isQuery ? values.map((value) => value * factor) : values;
        }
      },
    };
  });
}

/** The tensor that the factor of queries goes into. */
const scaledBy = (architecture: string, name: string): boolean =>
  name.endsWith(architecture === 'gemma3' ? '.q_norm.weight' : '.q_proj.weight');

function inForm(
  values: Float32Array,
  form: GgufForm | undefined,
  { shape }: ParameterSpec,
  { heads, keyValueHeads }: DecoderConfig,
): Float32Array {
  switch (form) {
    case 'query-pairs':
      return toPairs(values, heads, shape[0]!);
    case 'key-pairs':
      return toPairs(values, keyValueHeads, shape[0]!);
    case 'plus-one':
      return values.map((value) => value + 1);
    default: // values are [out, in] already
      return values;
  }
}
