/** Which of a model's parameters a stage holds. */
import type { ModelDescription } from '../../description/model-description.js';
import { siteAt } from '../../description/site-index.js';
import { wordTables } from '../../description/tied-embeddings.js';
import { vocabularyModules } from '../../description/vocabulary.js';
import { isFirstStage, isLastStage, type Stage } from './stage.js';

/**
 * Names of the matrices and tables that a stage needs: those of its blocks, tables of words on the
 * first stage, the output layer of a language model (and the table that it reads) on the last. Small
 * tensors, and what stands outside of blocks beside these, are everywhere.
 */
export function stageParameters(description: ModelDescription, stage: Stage): ReadonlySet<string> {
  const blockOf = blocksOfParameters(description);
  const words = wordTables(description).map(
    (path) => siteAt(description, 'embedding', path).weight,
  );
  const outputs = outputWeights(description);
  return new Set(
    description.parameters.flatMap(({ name, use }) => {
      if (use === 'vector') return [name];
      const block = blockOf.get(name);
      if (block !== undefined) return block >= stage.first && block < stage.end ? [name] : [];
      const [isWord, isOutput] = [words.includes(name), outputs.has(name)];
      const isNeeded =
        (isWord && isFirstStage(stage)) ||
        (isOutput && isLastStage(stage)) ||
        !(isWord || isOutput);
      return isNeeded ? [name] : [];
    }),
  );
}

/** The block that a parameter belongs to; none for what stands outside. */
export function blocksOfParameters({
  sites,
}: Pick<ModelDescription, 'sites'>): ReadonlyMap<string, number> {
  const blocks = new Map<string, number>();
  for (const site of sites) {
    if (site.layer === undefined) continue;
    if ('weight' in site) blocks.set(site.weight, site.layer);
    if ('bias' in site && site.bias !== undefined) blocks.set(site.bias, site.layer);
  }
  return blocks;
}

/** Weights with a row for each token that a language model's logits come from. */
export function outputWeights(description: ModelDescription): ReadonlySet<string> {
  const { sites, head, vocabularySize } = description;
  const own = vocabularyModules(description).outputs;
  return new Set(
    head.kind.endsWith('-lm')
      ? sites.flatMap((site) =>
          site.kind === 'linear' &&
          ((site.isOutputHead && site.outFeatures === vocabularySize) || own.includes(site.path))
            ? [site.weight]
            : [],
        )
      : [],
  );
}
