/** PEFT's option `bias`, which many methods have. */
import type { LinearSite } from '../description/sites.js';
import type { AttachContext } from './attach-context.js';

/**
 * Unfreezes biases while a linear site is attached to.
 *
 * @param bias `none`; `all`: everything in the model that is called `bias`; any other word
 *   (`lora_only`): the bias of the site itself.
 */
export function unfreezeBiases(
  bias: string,
  site: Pick<LinearSite, 'bias'>,
  context: AttachContext,
): void {
  if (bias === 'none') return;
  if (bias === 'all')
    for (const { name } of context.description.parameters)
      if (name === 'bias' || name.endsWith('.bias')) context.unfreeze(name);
  if (bias !== 'all' && site.bias !== undefined) context.unfreeze(site.bias);
}
