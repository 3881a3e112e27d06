/** The values of a shadow network: all that a smaller model of the base's architecture has. */
import {
  normal,
  ones,
  zeros,
  type AttachContext,
  type Companion,
  type Initializer,
  type ModelDescription,
  type StackSite,
} from '@peft/core';
import { PeftError } from '@peft/errors';
import type { ShadowConfig } from './shadow-config.js';

/** Of weights at the start. */
const DEVIATION = 0.02;
/** PEFT leaves a table of this name out where the base's is read. */
const SHARED_TABLE = 'embed_tokens';

/**
 * New parameters, under PEFT's names in the file, by the names of the base's that they stand for.
 * @throws PEFT_TARGET_NOT_FOUND for more blocks than the base has; PEFT_METHOD_UNSUPPORTED
 */
export function shadowParameters(
  site: StackSite,
  { shadowLayers = 1, shareEmbeddings }: ShadowConfig,
  { description, sharedParam }: AttachContext,
): Companion['parameters'] {
  if (shadowLayers > site.blocks)
    throw new PeftError(
      'PEFT_TARGET_NOT_FOUND',
      `shadow: shadowLayers is ${shadowLayers}, and ${site.path} has ${site.blocks} blocks.`,
    );
  const reason = unsupported(site, description);
  if (reason !== undefined)
    throw new PeftError('PEFT_METHOD_UNSUPPORTED', `shadow: ${reason}.`, {
      hint: 'choose another method',
    });
  const front = site.path.slice(0, site.path.lastIndexOf('.') + 1);
  const stack = `${site.path.slice(front.length)}.`;
  const own = description.parameters.flatMap(({ name, shape, isBuffer = false }) => {
    const inside = name.startsWith(front) ? name.slice(front.length) : undefined;
    const block = inside?.startsWith(stack) ? Number(inside.slice(stack.length).split('.')[0]) : -1;
    const isShared = shareEmbeddings && inside === `${SHARED_TABLE}.weight`;
    if (inside === undefined || isBuffer || isShared || block >= shadowLayers) return [];
    const init = startOf(name, description);
    return [[name, sharedParam(`shadow_backbone.default.${inside}`, shape, init)] as const];
  });
  return new Map(own);
}

/** What stands in the way of a network that PEFT's files would name the same. */
function unsupported(site: StackSite, description: ModelDescription): string | undefined {
  const { modelType, head, layers, parameters, sites, repeatedBlocks } = description;
  const front = site.path.slice(0, site.path.lastIndexOf('.') + 1);
  const table = sites.find(({ kind }) => kind === 'embedding');
  if (site.stack !== 'decoder' || layers.encoder > 0) return `${modelType} is no decoder alone`;
  if (head.kind !== 'causal-lm' && head.kind !== 'none')
    return `a model with a ${head.kind} head would get another such head from PEFT`;
  if (repeatedBlocks) return 'its network has blocks of its own, and an adapter repeats those here';
  if (table?.path !== `${front}${SHARED_TABLE}`)
    return `${modelType} calls its word embeddings ${table?.path}, where PEFT keeps a second, idle table`;
  if (parameters.some(({ name, transposed }) => transposed && name.startsWith(front)))
    return `${modelType} stores matrices as [in, out]`;
  if (parameters.some(({ name, entry, pieces }) => (entry ?? pieces) && name.startsWith(front)))
    return `${modelType} holds several matrices in one parameter`;
  return undefined;
}

/** What a new model of the architecture starts with. */
function startOf(parameter: string, { sites, parameters }: ModelDescription): Initializer {
  const norm = sites.find(
    (site) => site.kind === 'norm' && [site.weight, site.bias].includes(parameter),
  );
  if (parameter.endsWith('.bias')) return zeros;
  const { shape, norm: kind } = parameters.find(({ name }) => name === parameter)!;
  return (norm ?? kind ?? shape.length === 1) ? ones : normal(DEVIATION);
}
