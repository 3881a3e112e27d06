/** Makes parameters of an adapter: new ones, and trained copies of the base's. */
import * as tf from '@tensorflow/tfjs';
import type { Variable } from '@tensorflow/tfjs';
import { PeftError } from '@peft/errors';
import { freezeTensor, onHostBackend } from '@peft/ops';
import type { Site } from '../description/sites.js';
import type {
  OwnedParameter,
  ParameterOptions,
  UnfreezeOptions,
} from '../method/attach-context.js';
import type { Adapter } from './adapter.js';
import { noWeights, type WeightHost } from './weight-host.js';

/** The adapter's trained copy of a base parameter, made where it has none yet. */
export function unfreeze(
  adapter: Adapter,
  host: WeightHost | undefined,
  parameterName: string,
  method: string,
  site?: Site,
  options: UnfreezeOptions = {},
): OwnedParameter {
  const savedAs =
    options.savedAs === undefined || !site ? undefined : `${site.path}.${options.savedAs}`;
  const existing = adapter.parameters.get(parameterName);
  if (existing) {
    if (savedAs !== undefined && existing.savedAs === undefined)
      Object.assign(existing, { savedAs });
    return existing;
  }
  const spec = adapter.description.parameters.find(({ name }) => name === parameterName);
  if (!spec)
    throw new PeftError(
      'PEFT_PARAMETER_UNKNOWN',
      `${method}: ${adapter.description.modelType} has no parameter "${parameterName}".`,
    );
  const made = ownParameter(
    parameterName,
    spec.shape,
    () => baseValues(host!, parameterName),
    host,
    { method, origin: 'unfrozen', site, trainable: options.trainable ?? true, savedAs },
  );
  adapter.parameters.set(parameterName, made);
  return made;
}

/** A copy of a base tensor, made once, while attaching. */
export function baseValues(host: WeightHost, parameterName: string): Float32Array {
  const base = host.readBase(parameterName);
  const values = Float32Array.from(base.dataSync());
  base.dispose();
  return values;
}

let nextVariable = 0;

/** A parameter; without a host it has a shape and no values. */
export function ownParameter(
  name: string,
  shape: readonly number[],
  fill: () => Float32Array | Int32Array,
  host: WeightHost | undefined,
  options: ParameterOptions &
    Pick<OwnedParameter, 'method' | 'origin'> & {
      site: Site | undefined;
      savedAs?: string | undefined;
    },
): OwnedParameter {
  let variable: Variable | undefined;
  let start = 0;
  if (host) {
    const values = fill();
    start = fingerprint(values);
    const dtype = options.storedAs ? 'int32' : 'float32';
    const initial = tf.tensor(values, [...shape], dtype);
    variable = tf.variable(
      initial,
      options.trainable ?? true,
      `peft/${(nextVariable += 1)}/${name}`,
      dtype,
    );
    if (options.trainable === false) freezeTensor(variable);
    initial.dispose();
  }
  return {
    name,
    shape,
    method: options.method,
    origin: options.origin,
    trainable: options.trainable ?? true,
    saved: options.saved ?? true,
    storedAs: options.storedAs,
    below: options.below,
    form: options.form,
    site: options.site,
    savedAs: options.savedAs,
    get value() {
      return variable ?? noWeights(name);
    },
    hasChanged: () =>
      variable !== undefined &&
      fingerprint(variable.dataSync() as Float32Array | Int32Array) !== start,
    toHost: async () => {
      if (!variable) return;
      const values = await variable.data();
      // the backend that is current at an assignment takes the values over
      onHostBackend(() => {
        const copy = tf.tensor(values, [...shape], variable!.dtype);
        variable!.assign(copy);
        copy.dispose();
      });
    },
    dispose: () => {
      variable?.dispose();
      variable = undefined;
    },
  };
}

/** FNV-1a of the values' bits. */
function fingerprint(values: Float32Array | Int32Array): number {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  let hash = 0x811c9dc5;
  for (let i = 0; i < bits.length; i += 1) hash = Math.imul(hash ^ bits[i]!, 0x01000193);
  return hash;
}
