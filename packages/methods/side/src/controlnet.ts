/**
 * A side branch as ControlNet has it (Zhang et al. 2023, "Adding Conditional Control to Text-to-Image
 * Diffusion Models", section 3.1), on transformer blocks as PixArt-δ (Chen et al. 2024, section 4.2)
 * puts it: a trainable copy of each of the first k blocks, which read the same input, enters the frozen
 * stream through a map that starts at zero. With hᵢ the state behind block Fᵢ and Cᵢ its copy:
 *
 *   c₀ = h₀,  cᵢ = Cᵢ(cᵢ₋₁),  hᵢ = Fᵢ(hᵢ₋₁) + Zᵢ·cᵢ for i ≤ k,  Zᵢ = 0 at first
 *
 * Differs from the papers: there is no condition of its own, so that the map in front of the copies has
 * nothing to carry.
 */
import {
  definePeftMethod,
  optionTable,
  zeros,
  type AttachContext,
  type BlockCopy,
  type StackSite,
} from '@peft/core';
import { PeftError } from '@peft/errors';
import { add, linear } from '@peft/ops';
import { lastStack } from './last-stack.js';

/** Options of a side branch. */
export interface ControlNetConfig {
  /** k: how many blocks, from the first on, are copied. Default: half of them, rounded up. */
  readonly blocks: number | undefined;
}

declare module '@peft/core' {
  interface PeftConfigs {
    controlnet: ControlNetConfig;
  }
}

const { options, parseConfig } = optionTable<ControlNetConfig>('controlnet', {
  blocks: { default: undefined, is: 'positiveInteger' },
});

/**
 * A side branch as ControlNet has it: `controlnet({ blocks: 2 })`. It cannot be merged.
 * @throws PEFT_CONFIG_INVALID, PEFT_CONFIG_UNKNOWN_KEY; PEFT_TARGET_NOT_FOUND for more blocks than
 *   there are; PEFT_METHOD_UNSUPPORTED where layers share their blocks
 */
export const controlnet = definePeftMethod({
  name: 'controlnet',
  formula: 'hᵢ = Fᵢ(hᵢ₋₁) + Zᵢ·cᵢ, cᵢ = Cᵢ(cᵢ₋₁) a trained copy of Fᵢ',
  paper: {
    title: 'Adding Conditional Control to Text-to-Image Diffusion Models',
    url: 'https://arxiv.org/abs/2302.05543',
  },
  options,
  parseConfig,
  defaultTargets: lastStack,

  attach: {
    stack(site, { blocks = Math.ceil(site.blocks / 2) }, context) {
      if (blocks > site.blocks) throw tooMany(site, blocks);
      const { size } = site;
      const branches = Array.from({ length: blocks }, (_, block) => ({
        copy: copyOf(site, block, context),
        weight: context.param(`controlnet.zero.${block}.weight`, [size, size], zeros),
        bias: context.param(`controlnet.zero.${block}.bias`, [size], zeros),
      }));
      return {
        begin: (state) => state,
        follow(block, { state, beside }, { again }) {
          const branch = branches[block];
          if (!branch) return { state, beside };
          const made = again(beside, branch.copy);
          const entering = linear(made, branch.weight.value, branch.bias.value);
          return { state: add(state, entering), beside: made };
        },
      };
    },
  },
});

/** Trained copies of all parameters that a block reads. */
function copyOf(
  { path }: StackSite,
  block: number,
  { description, copy }: AttachContext,
): BlockCopy {
  const prefix = `${path}.${block}.`;
  const inside = description.sites.filter(
    ({ kind, path: at }) => kind !== 'embedding' && at.startsWith(prefix),
  );
  const names = new Set(
    inside.flatMap((site) => [
      ...('weight' in site ? [site.weight] : []),
      ...('bias' in site && site.bias !== undefined ? [site.bias] : []),
    ]),
  );
  if (names.size === 0 || description.repeatedBlocks)
    throw new PeftError(
      'PEFT_METHOD_UNSUPPORTED',
      `controlnet: block ${block} of ${path} has no parameters of its own to copy.`,
      { hint: 'layers of this model share their blocks: choose another method' },
    );
  const copies = [...names].map(
    (name) => [name, copy(name, `controlnet.copy.${block}.${name.slice(prefix.length)}`)] as const,
  );
  return {
    name: 'controlnet',
    parameters: new Map(copies),
  };
}

const tooMany = ({ path, blocks }: StackSite, asked: number): PeftError =>
  new PeftError(
    'PEFT_TARGET_NOT_FOUND',
    `controlnet: blocks: ${path} has ${blocks} blocks, ${asked} were to be copied.`,
  );
