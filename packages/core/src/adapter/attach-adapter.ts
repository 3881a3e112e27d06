/** Puts a method on a model: which sites each part takes, and what it makes there. */
import { PeftError } from '@peft/errors';
import { type ModelDescription, parameterSites } from '../description/model-description.js';
import { describedFor } from '../method/repeated-blocks.js';
import type { Site, SiteKind } from '../description/sites.js';
import { stackSites } from '../model/stack/stack-sites.js';
import { isInModules, selectSites, type TargetSelection } from '../description/target-selection.js';
import type { AttachContext, SiteHandle } from '../method/attach-context.js';
import type { SiteAttachments } from '../method/attachment.js';
import { requireOwnCore } from '../method/one-core.js';
import type { MethodPart, MethodSpec } from '../method/peft-method.js';
import { Adapter } from './adapter.js';
import { createContext } from './create-context.js';
import { MODULES_TO_SAVE, modulesToSave, savedModules } from './modules-to-save.js';
import { unfreeze } from './owned-parameter.js';
import { withWeights } from './site-handle.js';
import { refuseUnread, saveTiedEmbeddings, saveTiedOutputs } from './tied-modules.js';
import type { WeightHost } from './weight-host.js';

/** How a method is put on a model. */
export interface AttachOptions {
  /** Seed of the initialisers. Default 0. */
  readonly seed?: number;
  /**
   * Every pattern of the targets must match, and every module to save must exist. Default true; a
   * foreign file need not.
   */
  readonly strict?: boolean;
  /** Base parameters that train beside what the methods ask for (`ia3_bias`). */
  readonly alsoUnfreeze?: readonly string[];
  /**
   * Base parameters that the adapter brings its own values for, which do not train (an embedding that
   * was resized).
   */
  readonly alsoReplace?: readonly string[];
}

/**
 * Puts a method on a model, or on a bare description (`host` undefined) to learn its sites and
 * counts. On failure nothing is left behind.
 *
 * @throws PEFT_TARGET_NOT_FOUND, PEFT_METHOD_UNSUPPORTED, PEFT_CORE_DUPLICATE, PEFT_BLOCKS_REPEATED, and what
 *   the method's attach functions throw.
 */
export function attachAdapter(
  name: string,
  spec: MethodSpec,
  description: ModelDescription,
  host: WeightHost | undefined,
  options: AttachOptions = {},
): Adapter {
  const adapter = new Adapter(name, spec, describedFor(spec, description));
  try {
    for (const part of spec.parts) {
      requireOwnCore(part);
      attachPart(adapter, part, host, options);
    }
    for (const parameter of modulesToSave(spec, description, options.strict ?? true))
      unfreeze(adapter, host, parameter, MODULES_TO_SAVE);
    saveTiedOutputs(adapter, host);
    saveTiedEmbeddings(adapter, host);
    if (options.strict ?? true) refuseUnread(adapter);
    for (const parameter of options.alsoUnfreeze ?? [])
      unfreeze(adapter, host, parameter, 'file', undefined);
    for (const parameter of options.alsoReplace ?? [])
      unfreeze(adapter, host, parameter, 'file', undefined, { trainable: false });
    return adapter;
  } catch (error) {
    adapter.dispose();
    throw error;
  }
}

function attachPart(
  adapter: Adapter,
  part: MethodPart,
  host: WeightHost | undefined,
  options: AttachOptions,
): void {
  const { method, config } = part;
  const sites = sitesOf(adapter, part, options.strict ?? true);
  adapter.parts.push({ part, sites });
  for (const site of sites) {
    const attach = method.attach[site.kind] as
      | ((
          site: SiteHandle<SiteKind>,
          config: unknown,
          context: AttachContext,
        ) => SiteAttachments[SiteKind])
      | undefined;
    const context = createContext(adapter, part, sites, site, host, options);
    const made = attach?.(withWeights(site, adapter, host), config, context);
    if (made === undefined) continue;
    refuseLooseRows(method.name, site, made);
    const key = `${site.kind} ${site.path}`;
    adapter.attachments.set(key, [
      ...(adapter.attachments.get(key) ?? []),
      { site, method: method.name, attachment: made },
    ]);
  }
}

/**
 * That what tells sequences apart meets none but their rows.
 * @throws PEFT_METHOD_UNSUPPORTED
 */
function refuseLooseRows(
  name: string,
  site: Site,
  made: NonNullable<SiteAttachments[SiteKind]>,
): void {
  if (site.kind !== 'linear' || site.looseRows === undefined) return;
  if (!('readsSequences' in made) || made.readsSequences !== true) return;
  throw new PeftError(
    'PEFT_METHOD_UNSUPPORTED',
    `${name}: ${site.path} maps ${site.looseRows}, which no sequence owns, and with these options ` +
      'the method tells sequences apart.',
    { hint: 'name other targets (CLI: --option targets=…), or choose another method' },
  );
}

/**
 * The sites that a part takes: its targets or the method's default ones, and what it takes beside
 * them.
 */
function sitesOf(
  { spec, description }: Adapter,
  { method, config, common }: MethodPart,
  strict: boolean,
): readonly Site[] {
  const kinds = Object.keys(method.attach) as SiteKind[];
  const candidates = [
    ...description.sites,
    ...(kinds.includes('stack') ? stackSites(description) : []),
    ...(kinds.includes('parameter') ? parameterSites(description) : []),
  ];
  const isDefault = common.targets === undefined;
  const saved = savedModules(spec, description);
  const {
    optional = false,
    lacks: _,
    ...defaults
  } = isDefault
    ? method.defaultTargets(description, config)
    : { optional: !strict && isListIn(common.targets, saved), lacks: undefined };
  const select = (selection: TargetSelection, isStrict: boolean): readonly Site[] =>
    Array.isArray(selection.targets) && selection.targets.length === 0
      ? []
      : selectSites({ ...description, sites: candidates }, selection, {
          owner: method.name,
          kinds,
          modulesToSave: saved,
          strict: isStrict,
          optional,
        });
  const chosen = new Set([
    ...select({ ...defaults, ...common }, strict && !isDefault),
    ...select({ targets: method.extraTargets?.(config, description) ?? [] }, strict),
  ]);
  if (chosen.size === 0 && !optional) {
    throw new PeftError(
      'PEFT_METHOD_UNSUPPORTED',
      `${method.name}: ${description.modelType} has no ${kinds.join(' or ')} site to attach to.`,
      {
        hint: 'choose another method, or name targets; peft inspect MODEL --sites lists what the model has',
      },
    );
  }
  return candidates.filter((site) => chosen.has(site));
}

/** Whether a file's targets are of modules that it holds whole: nothing of them is left to take. */
const isListIn = (targets: TargetSelection['targets'], modules: readonly string[]): boolean =>
  Array.isArray(targets) && targets.every((name: string) => isInModules(name, modules));
