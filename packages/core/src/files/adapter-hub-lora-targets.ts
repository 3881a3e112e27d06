/**
 * adapter-hub's way to say which linear maps a LoRA or IA3 takes: kinds of layers, matrices and
 * blocks to leave out.
 */
import { PeftError } from '@peft/errors';
import type { ModelDescription } from '../description/model-description.js';
import type { Site } from '../description/sites.js';
import { hubLinear } from './adapter-hub-places.js';

/** Where adapter-hub's `LoRAConfig` and its kin stand, by adapter-hub's own keys. */
export interface HubLoraTargets {
  readonly selfattn_lora: boolean;
  readonly intermediate_lora: boolean;
  readonly output_lora: boolean;
  readonly attn_matrices: readonly string[];
  readonly leave_out: readonly number[];
}

/**
 * Paths of the linear maps that a config of adapter-hub means.
 * @throws PEFT_CONFIG_UNSUPPORTED where attention's matrices are fused
 */
export function fromHubTargets(
  json: Readonly<Record<string, unknown>>,
  description: ModelDescription,
): readonly string[] {
  const {
    selfattn_lora: selfattn = true,
    intermediate_lora: intermediate = false,
    output_lora: output = false,
    attn_matrices: matrices = [],
    leave_out: leaveOut = [],
  } = json as Partial<HubLoraTargets>;
  const wanted = { selfattn, intermediate, output };
  if (selfattn && description.sites.some(({ role }) => role === 'attention.query_key_value'))
    throw new PeftError(
      'PEFT_CONFIG_UNSUPPORTED',
      `adapter-hub: a LoRA on ${description.modelType}'s fused attention matrix is not supported.`,
      { hint: "use a LoRA of PEFT's" },
    );
  return description.sites.flatMap((site) => {
    const linear = hubLinear(site, description);
    return linear &&
      wanted[linear.location] &&
      (linear.matrix === undefined || matrices.includes(linear.matrix)) &&
      !leaveOut.includes(linear.layer)
      ? [site.path]
      : [];
  });
}

/**
 * The words for the sites that a method took. @throws PEFT_FORMAT_UNSUPPORTED when there are none
 */
export function toHubTargets(
  sites: readonly Site[],
  description: ModelDescription,
): HubLoraTargets {
  const taken = sites.map((site) => hubLinear(site, description));
  const matrices = ['q', 'k', 'v'].filter((matrix) =>
    taken.some((linear) => linear?.matrix === matrix),
  );
  const has = (location: string) => taken.some((linear) => linear?.location === location);
  const layers = new Set(taken.flatMap((linear) => (linear ? [linear.layer] : [])));
  const all = description.layers.encoder + description.layers.decoder;
  const made: HubLoraTargets = {
    selfattn_lora: has('selfattn'),
    intermediate_lora: has('intermediate'),
    output_lora: has('output'),
    attn_matrices: matrices,
    leave_out: Array.from({ length: all }, (_, layer) => layer).filter(
      (layer) => !layers.has(layer),
    ),
  };
  const meant = new Set(fromHubTargets({ ...made }, description));
  const missed =
    sites.find(({ path }) => !meant.has(path))?.path ??
    [...meant].find((path) => !sites.some((site) => site.path === path));
  if (missed !== undefined)
    throw new PeftError(
      'PEFT_FORMAT_UNSUPPORTED',
      `adapter-hub: its config cannot say that ${missed} is ` +
        `${sites.some(({ path }) => path === missed) ? 'taken' : 'left out'}.`,
      { hint: "save it in PEFT's layout, or take the same matrices in each block" },
    );
  return made;
}
