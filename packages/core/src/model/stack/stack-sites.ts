/** The stacks of blocks that a model consists of, as sites. */
import type { ModelDescription } from '../../description/model-description.js';
import type { StackSite } from '../../description/sites.js';

/** Made once for each list of sites. */
const known = new WeakMap<ModelDescription['sites'], readonly StackSite[]>();

/** A site for each stack of blocks with residual branches, in the order in which they run. */
export function stackSites(description: ModelDescription): readonly StackSite[] {
  const found = known.get(description.sites);
  if (found) return found;
  const made = (['encoder', 'decoder'] as const).flatMap((stack) => siteOf(description, stack));
  known.set(description.sites, made);
  return made;
}

/** The stack that a block is of and its number there, by its number among all blocks of the model. */
export function stackOfBlock(
  description: ModelDescription,
  index: number,
): { readonly site: StackSite; readonly block: number } | undefined {
  const { encoder } = description.layers;
  const stack = index < encoder ? 'encoder' : 'decoder';
  const site = stackSites(description).find((each) => each.stack === stack);
  return site && { site, block: stack === 'encoder' ? index : index - encoder };
}

function siteOf(
  { sites, layers }: ModelDescription,
  stack: StackSite['stack'],
): readonly StackSite[] {
  const branch = sites.find((site) => site.kind === 'sublayer' && site.stack === stack);
  const attention = sites.find((site) => site.kind === 'attention' && site.stack === stack);
  const path = branch && /^(.+?)\.\d+\./.exec(branch.path)?.[1];
  if (branch?.kind !== 'sublayer' || attention?.kind !== 'attention' || !path) return [];
  const { size } = branch;
  const { heads } = attention;
  return [
    { kind: 'stack', path, role: `stack.${stack}`, stack, size, blocks: layers[stack], heads },
  ];
}
