/** Which sites a method takes: Hugging Face PEFT's rules on paths, or roles. */
import { didYouMean, PeftError, show } from '@peft/errors';
import { given } from './given.js';
import type { ModelDescription } from './model-description.js';
import { fullMatch, type PathPattern, pythonPattern } from './path-pattern.js';
import type { Site, SiteKind } from './sites.js';

/** Options that every method has. */
export interface CommonConfig {
  /**
   * Module names: a list (each equal to a path or to the end of one after a dot), a string (a
   * regular expression that must match a whole path), `'all-linear'` (every linear site but the
   * output head), or roles.
   */
  readonly targets?: readonly string[] | string | { readonly roles: readonly string[] };
  /** Left out again; list or regular expression as in `targets`. */
  readonly excludeModules?: readonly string[] | string;
  /** Only these blocks; with `targets` as a list. */
  readonly layersToTransform?: readonly number[] | number;
  /**
   * Name of the list of blocks in a path (`layer`, `h`), where the first number is not the block's.
   */
  readonly layersPattern?: readonly string[] | string;
  /**
   * Modules trained whole and saved with the adapter, beside the head's; an empty list: not even
   * the head's. They win over targets; virtual tokens still come in front of a table that trains.
   */
  readonly modulesToSave?: readonly string[];
  /**
   * An embedding in `modulesToSave` whose table is the output layer's, too, stays one with it.
   * Default false: the trained copy is the embedding's alone, or the output layer's, and the other
   * keeps the base's values, as in PEFT.
   */
  readonly ensureWeightTying?: boolean;
}
/** The common options that say which sites a method stands on. */
export type TargetSelection = Pick<
  CommonConfig,
  'targets' | 'excludeModules' | 'layersToTransform' | 'layersPattern'
>;
/** The options that every method has beside its own. */
export const COMMON_KEYS: readonly string[] = Object.freeze([
  'targets',
  'excludeModules',
  'layersToTransform',
  'layersPattern',
  'modulesToSave',
  'ensureWeightTying',
]);

/** How sites are chosen, and how strictly. */
export interface SelectOptions {
  /** Who asks, for messages. */
  readonly owner: string;
  readonly kinds: readonly SiteKind[];
  readonly modulesToSave?: readonly string[];
  /**
   * A pattern of a list that matches nothing is an error (default), or fine as long as another
   * matches (files of others).
   */
  readonly strict?: boolean;
  /** That nothing matches is fine. Default false. */
  readonly optional?: boolean;
}

/**
 * The sites of `kinds` that a selection takes, in the model's order.
 * @throws PEFT_TARGET_NOT_FOUND when nothing matches, or one of several patterns matches nothing;
 *   names the nearest.
 */
export function selectSites(
  description: ModelDescription,
  selection: TargetSelection,
  options: SelectOptions,
): Site[] {
  const candidates = description.sites.filter((site) => options.kinds.includes(site.kind));
  const { targets } = selection;
  const isAllowed = permission(selection, options);
  if (targets === undefined) return candidates.filter(isAllowed);
  const patterns = typeof targets === 'string' || !isList(targets) ? [] : [...new Set(targets)];
  const used = new Set<string>();
  const hitsOf = targetMatcher(targets, patterns);
  const chosen = candidates.filter((site) => {
    const hits = hitsOf(site);
    for (const hit of hits) used.add(hit);
    return hits.length > 0 && isAllowed(site);
  });
  const unused = patterns.filter(
    (pattern) => !used.has(pattern) && !(options.modulesToSave ?? []).includes(pattern),
  );
  if ((chosen.length === 0 && !options.optional) || (options.strict !== false && unused.length > 0))
    throw notFound(description, candidates, targets, unused, options);
  if (options.strict !== false) refuseMissingLayers(chosen, selection, options.owner);
  return chosen;
}

function refuseMissingLayers(
  chosen: readonly Site[],
  { layersToTransform = [], layersPattern }: TargetSelection,
  owner: string,
): void {
  const wanted = typeof layersToTransform === 'number' ? [layersToTransform] : layersToTransform;
  if (wanted.length === 0 || chosen.length === 0) return;
  const indexOf = layerIndex(layersPattern);
  const there = new Set(chosen.map(({ path }) => indexOf(path)));
  const missing = wanted.filter((layer) => !there.has(layer));
  if (missing.length === 0) return;
  throw new PeftError(
    'PEFT_TARGET_NOT_FOUND',
    `${owner}: layersToTransform: no target stands in block ${missing.join(', ')}.`,
    {
      hint: `targets stand in the blocks ${[...there].join(', ')} of those named; blocks count from 0`,
    },
  );
}

/** PEFT's list rule: the whole path, or its end after a dot. */
export function matchesSuffix(path: string, name: string): boolean {
  return path === name || path.endsWith(`.${name}`);
}

/**
 * Whether a path lies in one of the modules (`classifier` takes `classifier` and
 * `classifier.dense`).
 */
export function isInModules(path: string, modules: readonly string[]): boolean {
  return modules.some(
    (name) =>
      path === name ||
      path.startsWith(`${name}.`) ||
      path.endsWith(`.${name}`) ||
      path.includes(`.${name}.`),
  );
}

/** Which of the targets take a site. */
function targetMatcher(
  targets: NonNullable<CommonConfig['targets']>,
  patterns: readonly string[],
): (site: Site) => string[] {
  if (targets === 'all-linear')
    return (site) =>
      site.kind === 'linear' && !site.isOutputHead && !site.isBareParameter ? ['all-linear'] : [];
  if (typeof targets === 'string') {
    const whole = fullMatch(targets);
    return ({ path }) => (whole.test(path) ? [targets] : []);
  }
  if (!isList(targets)) return ({ role }) => targets.roles.filter((wanted) => wanted === role);
  return ({ path }) => patterns.filter((pattern) => matchesSuffix(path, pattern));
}

/** Whether a site may be taken, by what is left out and by its block. */
function permission(selection: TargetSelection, options: SelectOptions): (site: Site) => boolean {
  const { excludeModules, layersToTransform } = selection;
  const excluded = excludeModules === undefined ? () => false : exclusion(excludeModules);
  const wanted = typeof layersToTransform === 'number' ? [layersToTransform] : layersToTransform;
  const indexOf = wanted && layerIndex(selection.layersPattern);
  return ({ path, kind }) => {
    // tokens in front of a sequence change nothing of the table that trains beside them
    const isPart = kind !== 'sequence' && options.modulesToSave !== undefined;
    if (isPart && isInModules(path, options.modulesToSave)) return false;
    if (excluded(path)) return false;
    if (!wanted || !indexOf) return true;
    const index = indexOf(path);
    return index !== undefined && wanted.includes(index);
  };
}

function exclusion(modules: readonly string[] | string): (path: string) => boolean {
  if (typeof modules !== 'string')
    return (path) => modules.some((name) => matchesSuffix(path, name));
  const whole = fullMatch(modules);
  return (path) => whole.test(path);
}

/** The block's number in a path: the first `.<name>.<number>.`, or the one after the given name. */
function layerIndex(
  layersPattern: CommonConfig['layersPattern'],
): (path: string) => number | undefined {
  const names = typeof layersPattern === 'string' ? [layersPattern] : (layersPattern ?? []);
  const patterns: PathPattern[] = names.length
    ? names.map((name) => pythonPattern('layersPattern', `.*\\.${name}\\.(\\d+)\\.`))
    : [/.*?\.[^.]*\.(\d+)\./];
  return (path) => {
    for (const pattern of patterns) {
      const match = pattern.exec(`.${path}.`);
      if (match) return Number(match[1]);
    }
    return undefined;
  };
}

const isList = (targets: NonNullable<CommonConfig['targets']>): targets is readonly string[] =>
  Array.isArray(targets);

function notFound(
  description: ModelDescription,
  candidates: readonly Site[],
  targets: NonNullable<CommonConfig['targets']>,
  unused: readonly string[],
  options: SelectOptions,
): PeftError {
  const given = typeof targets === 'string' || isList(targets) ? [targets].flat() : targets.roles;
  const wanted = unused.length ? unused : given;
  const ends = candidates.flatMap(({ path, role }) => {
    const words = path.split('.').filter((word) => !/^\d+$/.test(word));
    return [words.at(-1)!, words.slice(-2).join('.'), words.slice(-3).join('.'), role];
  });
  const names = [
    ...new Set(
      candidates.map(({ path, role }) =>
        typeof targets === 'object' && !isList(targets) ? role : path.split('.').at(-1)!,
      ),
    ),
  ];
  const near =
    wanted.map((name) => didYouMean(name, ends)).find((text) => text !== '') ??
    `Names there: ${names.slice(0, 20).join(', ')}.`;
  return new PeftError(
    'PEFT_TARGET_NOT_FOUND',
    `${options.owner}: no ${options.kinds.join(' or ')} site matches ` +
      `${wanted.map((name) => JSON.stringify(name)).join(', ')} in ${description.modelType} ` +
      `(${candidates.length} sites).`,
    {
      hint: `${near} List them with: peft inspect MODEL --sites`,
    },
  );
}

/** Checks the common options. @throws PEFT_CONFIG_INVALID */
export function parseCommonConfig(owner: string, input: CommonConfig): CommonConfig {
  const invalid = (field: string, must: string, value: unknown): never => {
    throw new PeftError(
      'PEFT_CONFIG_INVALID',
      `${owner}: ${field} must be ${must}, got ${show(value)}.`,
    );
  };
  const strings = (value: unknown): boolean =>
    Array.isArray(value) && value.every((item) => typeof item === 'string');
  const {
    targets,
    excludeModules,
    layersToTransform,
    layersPattern,
    modulesToSave,
    ensureWeightTying,
  } = input;
  if (
    targets !== undefined &&
    typeof targets !== 'string' &&
    !strings(targets) &&
    !(
      typeof targets === 'object' &&
      targets !== null &&
      'roles' in targets &&
      strings(targets.roles)
    )
  )
    invalid('targets', "a list of names, a regular expression, 'all-linear' or { roles }", targets);
  if (Array.isArray(targets) && targets.length === 0)
    invalid('targets', 'a list of at least one name', targets);
  if (
    excludeModules !== undefined &&
    typeof excludeModules !== 'string' &&
    !strings(excludeModules)
  )
    invalid('excludeModules', 'a list of names or a regular expression', excludeModules);
  if (layersToTransform !== undefined) {
    const list = typeof layersToTransform === 'number' ? [layersToTransform] : layersToTransform;
    if (!Array.isArray(list) || !list.every((index) => Number.isInteger(index) && index >= 0))
      invalid('layersToTransform', 'a block number or a list of them', layersToTransform);
    if (typeof targets === 'string' && targets !== 'all-linear')
      invalid(
        'layersToTransform',
        'absent when targets is a regular expression',
        layersToTransform,
      );
  }
  if (layersPattern !== undefined && typeof layersPattern !== 'string' && !strings(layersPattern))
    invalid('layersPattern', 'a name or a list of names', layersPattern);
  if (modulesToSave !== undefined && !strings(modulesToSave))
    invalid('modulesToSave', 'a list of module names', modulesToSave);
  if (ensureWeightTying !== undefined && typeof ensureWeightTying !== 'boolean')
    invalid('ensureWeightTying', 'true or false', ensureWeightTying);
  return Object.freeze({ ...given(input) });
}
