/** Sites by kind and path, and what else a forward pass asks of them, found without a search. */
import { PeftError } from '@peft/errors';
import type { ModelDescription } from './model-description.js';
import type { AttentionSite, Site, SiteKind, SiteOf } from './sites.js';

interface SiteIndex {
  /** By `<kind> <path>`. */
  readonly byPath: ReadonlyMap<string, Site>;
  /** The first embedding that reads a parameter, by the parameter's name. */
  readonly embeddingOf: ReadonlyMap<string, string>;
  /** Path of the first attention of each stack. */
  readonly firstAttention: ReadonlyMap<AttentionSite['stack'], string>;
  /** Paths of the linear maps that make the keys and values of cross attention. */
  readonly memoryReaders: ReadonlySet<string>;
}

/** Made once for each list of sites. */
const indexes = new WeakMap<readonly Site[], SiteIndex>();

/** The index of a model's sites. */
export function siteIndex({ sites }: Pick<ModelDescription, 'sites'>): SiteIndex {
  const known = indexes.get(sites);
  if (known) return known;
  const byPath = new Map<string, Site>();
  const embeddingOf = new Map<string, string>();
  const firstAttention = new Map<AttentionSite['stack'], string>();
  const memoryReaders = new Set<string>();
  for (const site of sites) {
    const key = `${site.kind} ${site.path}`;
    if (!byPath.has(key)) byPath.set(key, site);
    if (site.kind === 'embedding' && !embeddingOf.has(site.weight))
      embeddingOf.set(site.weight, site.path);
    if (site.kind === 'attention' && !firstAttention.has(site.stack))
      firstAttention.set(site.stack, site.path);
    if (/^cross\.attention\.(key|value)$/.test(site.role)) memoryReaders.add(site.path);
  }
  const index = { byPath, embeddingOf, firstAttention, memoryReaders };
  indexes.set(sites, index);
  return index;
}

/** The site of a kind at a path. @throws PEFT_SITE_UNKNOWN */
export function siteAt<K extends SiteKind>(
  description: ModelDescription,
  kind: K,
  path: string,
): SiteOf<K> {
  const site = siteIndex(description).byPath.get(`${kind} ${path}`);
  if (!site)
    throw new PeftError(
      'PEFT_SITE_UNKNOWN',
      `${description.modelType}: there is no ${kind} site "${path}".`,
      { hint: 'the forward pass and the list of sites of the architecture disagree' },
    );
  return site as SiteOf<K>;
}
