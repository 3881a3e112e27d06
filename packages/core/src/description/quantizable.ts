/** Which weights are quantised, or rounded, while a model loads. */
import type { FreezeOptions } from '@peft/ops';
import type { ModelDescription } from './model-description.js';
import { isInModules } from './target-selection.js';

/**
 * What the base's matrices become while loading: `nf4`, `fp4` and `int8` are for those of linear
 * sites (see `quantizableWeights`), `bf16` and `f16` for all. What else a model has stays as it is.
 */
export interface WeightQuantization extends Pick<
  FreezeOptions,
  'blockSize' | 'doubleQuantization'
> {
  readonly format: 'nf4' | 'fp4' | 'int8' | 'bf16' | 'f16';
  /** Modules to keep as they are, beside the head: whole paths, or their ends. */
  readonly skipModules?: readonly string[];
}

/**
 * Names of the weights of all linear sites but the output head (also where it is the embedding's
 * table), the modules of a task's head, and `skipModules`. Embeddings, norms and biases stay as
 * they are.
 *
 * @param skipModules module names as in `excludeModules`: whole paths, or their ends.
 */
export function quantizableWeights(
  description: ModelDescription,
  skipModules: readonly string[] = [],
): ReadonlySet<string> {
  const { sites, headModules } = description;
  const kept = new Set(
    sites.flatMap((site) =>
      site.kind === 'embedding' || (site.kind === 'linear' && site.isOutputHead)
        ? [site.weight]
        : [],
    ),
  );
  const skipped = [...headModules, ...skipModules];
  return new Set(
    sites.flatMap((site) =>
      site.kind === 'linear' && !kept.has(site.weight) && !isInModules(site.path, skipped)
        ? [site.weight]
        : [],
    ),
  );
}

/**
 * Names of the weights that `quantization` changes: `quantizableWeights`, or with a 16-bit format
 * every matrix outside `skipModules`.
 */
export function convertedWeights(
  description: ModelDescription,
  { format, skipModules = [] }: Pick<WeightQuantization, 'format' | 'skipModules'>,
): ReadonlySet<string> {
  if (format !== 'bf16' && format !== 'f16') return quantizableWeights(description, skipModules);
  const matrices = description.parameters.filter(
    ({ use, name }) => use !== 'vector' && !isInModules(name.replace(/\.weight$/, ''), skipModules),
  );
  return new Set(matrices.map(({ name }) => name));
}
