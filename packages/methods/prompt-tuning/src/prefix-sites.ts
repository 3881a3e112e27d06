/** The attentions that keys and values in front of the sequences stand in, as PEFT has them. */
import type { AttachContext, AttentionSite, ModelDescription, Site, SiteHandle } from '@peft/core';
import { PeftError } from '@peft/errors';

export const attentionSites = (sites: readonly Site[]): AttentionSite[] =>
  sites.filter((site) => site.kind === 'attention');
/** W: what the keys of one token take. */
export const keyWidth = ({ keyValueHeads, headSize }: AttentionSite): number =>
  keyValueHeads * headSize;

/** The self-attentions of the stack that makes the output. */
export function selfAttentions({ sites, head, layers }: ModelDescription): AttentionSite[] {
  const stack =
    layers.decoder > 0 && (head.kind === 'seq2seq-lm' || layers.encoder === 0)
      ? 'decoder'
      : 'encoder';
  return attentionSites(sites).filter((site) => site.stack === stack);
}

export function refuse(
  owner: string,
  site: SiteHandle<'attention'>,
  { modelType, head, layers, hiddenSize }: ModelDescription,
): void {
  const unsupported = (why: string, hint: string) =>
    new PeftError('PEFT_METHOD_UNSUPPORTED', `${owner}: ${modelType} ${why}.`, { hint });
  if (site.besideOnly)
    throw unsupported(
      'has no key-value cache that a prefix could stand in',
      'use attentionPrefix, which stands beside the sequence, or promptTuning',
    );
  if (head.kind !== 'seq2seq-lm') return;
  if (layers.encoder !== layers.decoder)
    throw unsupported(
      `has ${layers.encoder} encoder and ${layers.decoder} decoder blocks, and the original counts one for the other`,
      'use attentionPrefix or promptTuning',
    );
  if (keyWidth(site) !== hiddenSize)
    throw unsupported(
      `has keys of width ${keyWidth(site)} in a model of width ${hiddenSize}, and the original takes one for the other`,
      'use attentionPrefix or promptTuning',
    );
}

/**
 * Which pair of keys and values a block reads: its own, in an encoder-decoder that twice as far on,
 * since the original makes one set for two stacks.
 */
export function pairOf(
  { path }: { readonly path: string },
  { description, sites }: Pick<AttachContext, 'description' | 'sites'>,
): number {
  const own = attentionSites(sites);
  const index = own.findIndex((site) => site.path === path);
  return description.head.kind === 'seq2seq-lm' ? (2 * index) % own.length : index;
}
