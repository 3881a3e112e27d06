/** What a method is handed while it attaches to one site of an adapter. */
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import { PeftError } from '@peft/errors';
import { randomKey } from '@peft/ops';
import type { Initializer, WholeNumbers } from '../description/initializers.js';
import type { Site } from '../description/sites.js';
import type {
  AdapterParameter,
  AttachContext,
  OwnedParameter,
  ParameterOptions,
  RankOf,
} from '../method/attach-context.js';
import type { MethodPart } from '../method/peft-method.js';
import type { Adapter } from './adapter.js';
import { baseValues, ownParameter, unfreeze } from './owned-parameter.js';
import type { WeightHost } from './weight-host.js';

/** A parameter whose variable has that shape, or will have it on a model with weights. */
const ofRank = <Shape extends readonly number[]>(parameter: AdapterParameter, _shape: Shape) =>
  parameter as AdapterParameter<RankOf<Shape>>;

/** The context of one site. Without a host, parameters have shapes and no values. */
export function createContext(
  adapter: Adapter,
  part: MethodPart,
  sites: readonly Site[],
  site: Site,
  host: WeightHost | undefined,
  { seed = 0, strict = true }: { readonly seed?: number; readonly strict?: boolean },
): AttachContext {
  const method = part.method.name;
  const key = (purpose: string) => randomKey(seed, adapter.name, method, site.path, purpose);
  const create = (
    name: string,
    shape: readonly number[],
    init: Initializer | WholeNumbers,
    options: ParameterOptions,
    owner: Site | undefined,
  ): OwnedParameter => {
    if (adapter.parameters.has(name))
      throw new PeftError(
        'PEFT_PARAMETER_TWICE',
        `${method}: the parameter "${name}" exists already in adapter "${adapter.name}".`,
        { hint: 'two methods of one adapter claim the same name on disk' },
      );
    const made = ownParameter(
      name,
      shape,
      () => init(shape, owner ? key(name) : randomKey(seed, adapter.name, method, name)),
      host,
      { ...options, method, origin: 'new', site: owner },
    );
    adapter.parameters.set(name, made);
    return made;
  };
  return {
    description: adapter.description,
    sites,
    targets: part.common.targets,
    isStrict: strict,
    shared: <T>(name: string, make: () => T): T => {
      if (!adapter.shared.has(name)) adapter.shared.set(name, make());
      return adapter.shared.get(name) as T;
    },
    param: (name, shape, init, options = {}) =>
      ofRank(create(site.path ? `${site.path}.${name}` : name, shape, init, options, site), shape),
    sharedParam: (name, shape, init, options = {}) =>
      ofRank(adapter.parameters.get(name) ?? create(name, shape, init, options, undefined), shape),
    repeat: (name, parameter) => void adapter.repeats.set(`${site.path}.${name}`, parameter.name),
    unfreeze: (parameterName, options) =>
      unfreeze(adapter, host, parameterName, method, site, options),
    copy: (parameterName, name) => {
      const { shape } = adapter.description.parameters.find((spec) => spec.name === parameterName)!;
      return create(
        `${site.path}.${name}`,
        shape,
        () => baseValues(host!, parameterName),
        {},
        site,
      );
    },
    replaceWeight: (change) => {
      if (!host || site.kind !== 'linear') return;
      const replaced = adapter.replaced.get(site.weight);
      const changed = tf.tidy(() =>
        change((replaced?.engine.dequantize(replaced) ?? host.readBase(site.weight)) as Tensor2D),
      );
      replaced?.dispose();
      adapter.replaced.set(site.weight, host.freezeMatrix(site.weight, changed));
    },
    onStep: (hook, memory) => {
      adapter.stepHooks.push(hook);
      if (memory) adapter.stepMemories.push(memory);
    },
    lookAhead: (read) => askAhead(adapter, method, { lookAhead: read }),
    companion: (companion) => askAhead(adapter, method, { companion }),
    extraLoss: (term) => void adapter.extraLosses.push(term),
    randomKey: key,
  };
}

/** @throws PEFT_METHOD_UNSUPPORTED where another method of the adapter asked before */
function askAhead(
  adapter: Adapter,
  method: string,
  asked: Partial<Pick<Adapter, 'lookAhead' | 'companion'>>,
): void {
  adapter.aheadFor ??= method;
  if (adapter.aheadFor !== method)
    throw new PeftError(
      'PEFT_METHOD_UNSUPPORTED',
      `${adapter.aheadFor} and ${method} both run something ahead of each pass, which an adapter has once.`,
      { hint: 'give each an adapter of its own' },
    );
  adapter.lookAhead ??= asked.lookAhead;
  adapter.companion ??= asked.companion;
}
