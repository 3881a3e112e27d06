/**
 * A model family in GGUF: what llama.cpp calls its architecture, and how its tensors are named and
 * stored there.
 */

/** How a tensor differs between the two worlds. */
export type GgufForm =
  /** The rows of each head: Hugging Face has halves, llama.cpp's rotary positions turn pairs. */
  | 'query-pairs'
  | 'key-pairs'
  /** llama.cpp multiplies by the weight, Hugging Face by 1 + weight. */
  | 'plus-one'
  /** Hugging Face stores `[in, out]` (Conv1D). */
  | 'transposed';

/** A tensor, or one of each block where the names hold `{n}`. */
export interface GgufName {
  readonly gguf: string;
  readonly huggingFace: string;
  readonly form?: GgufForm;
}

/**
 * How llama.cpp names what transformers calls by a `model_type`: one value serves reading and
 * writing.
 */
export interface GgufFamily {
  /** `general.architecture`. */
  readonly architecture: string;
  /** `model_type` of config.json, the one that a file is read as first. */
  readonly modelTypes: readonly string[];
  /** Class of transformers, for config.json. */
  readonly className: string;
  readonly names: readonly GgufName[];
}

/** Names with the block's number in place of `{n}`. */
export function namesOf({ names }: GgufFamily, blocks: number): GgufName[] {
  return names.flatMap((name) =>
    name.gguf.includes('{n}')
      ? Array.from({ length: blocks }, (_, n) => ({
          ...name,
          gguf: name.gguf.replace('{n}', String(n)),
          huggingFace: name.huggingFace.replace('{n}', String(n)),
        }))
      : [name],
  );
}

/** Weight and bias of a layer. */
export const withBias = (gguf: string, huggingFace: string, form?: GgufForm): GgufName[] => [
  { gguf: `${gguf}.weight`, huggingFace: `${huggingFace}.weight`, form },
  {
    gguf: `${gguf}.bias`,
    huggingFace: `${huggingFace}.bias`,
    form: form === 'transposed' ? undefined : form,
  },
];
