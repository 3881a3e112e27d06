/** Which weights are quantised while a model loads. */
import type { ModelDescription } from './model-description.js';
import { isInModules } from './target-selection.js';

/**
 * Names of the weights of all linear sites but the output head (also where it is the embedding's table), the modules of a
 * task's head, and `skipModules`. Embeddings, norms and biases stay as they are.
 *
 * @param skipModules module names as in `excludeModules`: whole paths, or their ends.
 */
export function quantizableWeights(description: ModelDescription, skipModules: readonly string[] = []): ReadonlySet<string> {
  const { sites, headModules } = description;
  const kept = new Set(sites.flatMap((site) => (site.kind === 'embedding' || (site.kind === 'linear' && site.isOutputHead) ? [site.weight] : [])));
  const skipped = [...headModules, ...skipModules];
  return new Set(sites.flatMap((site) => (site.kind === 'linear' && !kept.has(site.weight) && !isInModules(site.path, skipped) ? [site.weight] : [])));
}
