/** What an architecture makes of a config: the description of a model with its head. */
import { PeftError } from '@peft/errors';
import type { HeadOptions, ModelDescription } from '../../description/model-description.js';
import type { Architecture } from '../architecture.js';
import { describePooled } from '../pooled-head.js';

/**
 * The description of an architecture under a config, with its head.
 * @throws PEFT_MODEL_HEAD for a head it lacks
 */
export function describeModel<Config>(
  architecture: Architecture<Config>,
  config: Config,
  head: HeadOptions = { kind: 'none' },
): ModelDescription {
  if (
    head.kind !== 'none' &&
    head.kind !== 'pooled-linear' &&
    !architecture.heads.includes(head.kind)
  ) {
    throw new PeftError(
      'PEFT_MODEL_HEAD',
      `${architecture.family}: there is no "${head.kind}" head.`,
      { hint: `it has ${['none', 'pooled-linear', ...architecture.heads].join(', ')}` },
    );
  }
  const description =
    head.kind === 'pooled-linear'
      ? describePooled(architecture, config, head)
      : architecture.describe(config, head);
  return { ...description, conventions: architecture.conventions?.[description.modelType] };
}
