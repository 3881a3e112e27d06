/**
 * Tensors between an adapter and its file: what to write, what a file's keys mean, and whether they
 * fit.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor } from '@tensorflow/tfjs';
import { PeftError } from '@peft/errors';
import { readFloat32, type NewTensor, type TensorStore } from '@peft/hub';
import type { Adapter } from '../adapter/adapter.js';
import { attachAdapter } from '../adapter/attach-adapter.js';
import type { ModelDescription } from '../description/model-description.js';
import { isInModules } from '../description/target-selection.js';
import { tiedEmbeddings } from '../description/tied-embeddings.js';
import { tiedOutputs } from '../description/tied-outputs.js';
import type { AdapterSource, FileKey } from '../method/adapter-file.js';
import type { OwnedParameter } from '../method/attach-context.js';
import type { AdapterFormat, MethodSpec } from '../method/peft-method.js';
import type { Model } from '../model/model.js';
import { assignOtherForm, otherForms, partsOf } from './stored-forms.js';

/** Where the tensors of a file go. */
export interface FilePlan {
  /** Parameter name → key. */
  readonly places: ReadonlyMap<string, string>;
  /** Base parameters that the file holds and no method asks for. */
  readonly extra: readonly string[];
  readonly copies: AdapterSource['copies'];
  /** The adapter on the bare description, for its config. */
  readonly dry: Adapter;
}

/**
 * The tensors of an adapter under a format's keys, in memory. An unfrozen matrix that the
 * checkpoint stores transposed is written so.
 * @throws PEFT_ADAPTER_NOT_FINITE
 */
export function adapterTensors(model: Model, adapter: Adapter, format: AdapterFormat): NewTensor[] {
  const tensors: NewTensor[] = [];
  const computed = new Set<string>();
  const add = (key: string, shape: readonly number[], data: Float32Array) => {
    const bad = data.findIndex((value) => !Number.isFinite(value));
    if (bad >= 0)
      throw new PeftError(
        'PEFT_ADAPTER_NOT_FINITE',
        `adapter "${adapter.name}": ${key} holds ${data[bad]} at position ${bad}.`,
        {
          hint: 'training has diverged: lower the learning rate, and load the last good checkpoint',
        },
      );
    tensors.push({ name: key, dtype: 'F32', shape, data });
  };
  for (const { part, sites } of adapter.parts) {
    const made = part.method.fileTensors?.(part.config, {
      description: adapter.description,
      sites,
      parameters: adapter.parameters,
      shared: adapter.shared,
    });
    if (!made) continue;
    computed.add(part.method.name);
    for (const [name, tensor] of made) {
      add(format.keyOfTensor(adapter, name), tensor.shape, valuesOf(tensor));
      tensor.dispose();
    }
  }
  for (const parameter of adapter.parameters.values()) {
    if (!parameter.saved || (parameter.origin === 'new' && computed.has(parameter.method)))
      continue;
    const key = format.keyOf(adapter, parameter);
    const others = otherForms(parameter, key);
    if (others) {
      tensors.push(...others);
      continue;
    }
    const { shape, values } = toFile(isTurned(model, format, parameter.name, key), parameter.value);
    add(key, format.fileShape?.(key, shape) ?? shape, values);
  }
  for (const [key, { of, name }] of copiesOf(adapter, format)) {
    const source =
      of === 'trained'
        ? tf.clone(adapter.parameters.get(name)!.value)
        : model.readBaseParameter(name);
    const { shape, values } = toFile(isTurned(model, format, name, key), source);
    source.dispose();
    add(key, shape, values);
  }
  return tensors;
}

function copiesOf(
  adapter: Adapter,
  format: AdapterFormat,
): Map<string, { of: 'trained' | 'base'; name: string }> {
  const copies = new Map<string, { of: 'trained' | 'base'; name: string }>();
  for (const [key, name] of format.baseCopies?.(adapter) ?? [])
    copies.set(key, { of: 'base', name });
  for (const [key, name] of format.trainedCopies?.(adapter) ?? [])
    copies.set(key, { of: 'trained', name });
  for (const [repeat, name] of adapter.repeats) {
    const parameter = adapter.parameters.get(name)!;
    const site = parameter.site ?? adapter.wrappedSites[0];
    copies.set(format.keyOf(adapter, { ...parameter, site, name: repeat }), {
      of: 'trained',
      name,
    });
  }
  for (const [key, { of, parameter }] of adapter.source?.format === format.name
    ? adapter.source.copies
    : [])
    copies.set(key, { of, name: parameter });
  return copies;
}

/**
 * Reads a file's keys against a model, on the bare description: nothing is made yet.
 * @throws PEFT_ADAPTER_MISMATCH a tensor has no place or another shape.
 * @throws PEFT_ADAPTER_INCOMPLETE one is missing.
 */
export function planTensors(
  model: Model,
  spec: MethodSpec,
  format: AdapterFormat,
  store: TensorStore,
  where: string,
): FilePlan {
  const dry = bareAdapter(model, spec, store, where);
  const { description } = dry;
  const expected = new Map(
    [...dry.parameters.values()]
      .filter(({ saved }) => saved)
      .flatMap(partsOf)
      .map((parameter) => [parameter.savedAs ?? parameter.name, parameter]),
  );
  const isOwn = (name: string) => expected.has(name) || dry.parameters.has(name);
  const base = new Map(description.parameters.map((parameter) => [parameter.name, parameter]));
  const places = new Map<string, string>();
  const extra: string[] = [];
  const copies = new Map<string, { of: 'trained' | 'base'; parameter: string }>();
  const problems: string[] = [];
  /** Tensors of tied layers that are neither trained nor the base's. */
  const unlike: { readonly key: string; readonly wanted: string }[] = [];
  /** Tensors that the file holds under the names of other sites, too. */
  const repeats: { readonly key: string; readonly of: string }[] = [];
  const keys = store.names();
  const readers: readonly TableReader[] = [
    ...tiedOutputs(description).map(({ output, embedding }) => ({
      path: output.path,
      embedding: embedding.path,
    })),
    ...tiedEmbeddings(description).map(({ reader, embedding }) => ({
      path: reader.path,
      embedding: embedding.path,
    })),
  ];
  for (const key of keys) {
    const { shape } = store.get(key)!;
    const read = format.readKey(key, { adapter: dry, keys });
    const isKnown = (candidate: string) => expected.has(candidate) || base.has(candidate);
    const repeated =
      read &&
      variants(read.name, description.basePrefix)
        .map((variant) => dry.repeats.get(variant))
        .find((name) => name !== undefined);
    if (repeated !== undefined) {
      const size = dry.parameters.get(repeated)!.shape;
      if (size.join() !== shape.join())
        problems.push(
          `${key} has the shape [${shape.join(', ')}], the model asks for [${size.join(', ')}]`,
        );
      else repeats.push({ key, of: repeated });
      copies.set(key, { of: 'trained', parameter: repeated });
      continue;
    }
    const own = read && variants(read.name, description.basePrefix).find(isKnown);
    const tied =
      read && own === undefined
        ? variants(read.name, description.basePrefix)
            .map((variant) => sharedName(variant, readers))
            .find((candidate) => candidate !== undefined && isKnown(candidate))
        : undefined;
    const name = own ?? tied;
    const wanted = name === undefined ? undefined : (expected.get(name)?.name ?? name);
    if (read === undefined || wanted === undefined)
      problems.push(`${key} [${shape.join(', ')}] has no place`);
    else if (read.of === 'parameter' && tied === undefined && places.has(wanted))
      problems.push(`${key} and ${places.get(wanted)} are one parameter`);
    else {
      const logical = expected.get(name!)?.shape ?? base.get(wanted)!.shape;
      const turned = isTurned(model, format, wanted, key) ? [...logical].reverse() : logical;
      const size = format.fileShape?.(key, turned) ?? turned;
      if (size.length !== shape.length || size.some((length, axis) => length !== shape[axis]))
        problems.push(
          `${key} has the shape [${shape.join(', ')}], the model asks for [${size.join(', ')}]`,
        );
      else if (tied === undefined) place(key, read, wanted);
      else if (dry.parameters.has(wanted)) copies.set(key, { of: 'trained', parameter: wanted });
      else if (equalsBase(model, format, wanted, store, key))
        copies.set(key, { of: 'base', parameter: wanted });
      else unlike.push({ key, wanted });
    }
  }
  for (const { key, wanted } of unlike) {
    // a table that was resized stands under the names of all that read it
    const first = extra.includes(wanted) ? places.get(wanted) : undefined;
    if (first !== undefined && areEqual(store, key, first))
      copies.set(key, { of: 'trained', parameter: wanted });
    else problems.push(`${key} differs from ${wanted}, which it is tied to`);
  }
  for (const { key, of } of repeats) {
    const first = places.get(of);
    if (first !== undefined && !areEqual(store, key, first))
      problems.push(`${key} differs from ${first}, which it repeats`);
  }
  const hasHead = [...expected.values()].some(
    (parameter) => places.has(parameter.name) && isHeadParameter(format, description, parameter),
  );
  const isWhole = (parameter: OwnedParameter) =>
    hasHead || !isHeadParameter(format, description, parameter);
  const missing = [...expected.values()]
    .filter((parameter) => !places.has(parameter.name) && isWhole(parameter))
    .map((parameter) => format.keyOf(dry, parameter));
  if (problems.length) {
    throw new PeftError(
      'PEFT_ADAPTER_MISMATCH',
      `${where} does not fit this ${description.modelType}: ${list(problems, '; ')}` +
        `${missing.length ? `; ${missing.length} tensors are missing` : ''}.`,
      {
        hint:
          "it was made for another model, or for another head: adapter_config.json's " +
          'base_model_name_or_path and task_type say which',
      },
    );
  }
  if (missing.length)
    throw new PeftError(
      'PEFT_ADAPTER_INCOMPLETE',
      `${where} lacks ${missing.length} of ${expected.size} tensors: ${list(missing, ', ')}.`,
      { hint: 'the file is not whole, or its config is not its own' },
    );
  return { places, extra, copies, dry };

  function place(key: string, read: NonNullable<FileKey>, wanted: string): void {
    if (read.of === 'repeat') return;
    if (read.of !== 'parameter') copies.set(key, { of: read.of, parameter: wanted });
    else if (!isOwn(wanted) && equalsBase(model, format, wanted, store, key))
      copies.set(key, { of: 'base', parameter: wanted });
    else {
      places.set(wanted, key);
      if (!isOwn(wanted)) extra.push(wanted);
    }
  }
}

/** Whether a parameter belongs to the head and the format stores that apart. */
export const isHeadParameter = (
  { head }: AdapterFormat,
  description: ModelDescription,
  { origin, name }: Pick<OwnedParameter, 'origin' | 'name'>,
): boolean =>
  head !== undefined && origin === 'unfrozen' && isInModules(name, head.modules(description));

/** Copies the file's values into the parameters. */
export function assignTensors(
  model: Model,
  adapter: Adapter,
  format: AdapterFormat,
  plan: FilePlan,
  store: TensorStore,
): void {
  const source = (name: string) => store.get(plan.places.get(name)!)!;
  for (const parameter of adapter.parameters.values())
    if (parameter.saved) assignOtherForm(parameter, source);
  for (const [name, key] of plan.places) {
    const parameter = adapter.parameters.get(name);
    if (!parameter || parameter.storedAs) continue;
    const values = fromFile(
      isTurned(model, format, name, key),
      parameter,
      readFloat32(store.get(key)!),
    );
    parameter.value.assign(values);
    values.dispose();
  }
}

/** The adapter on the bare description. @throws PEFT_ADAPTER_MISMATCH */
export function bareAdapter(
  model: Model,
  spec: MethodSpec,
  store: TensorStore,
  where: string,
): Adapter {
  try {
    return attachAdapter('file', spec, model.description, undefined, { strict: false });
  } catch (cause) {
    if (!(cause instanceof PeftError) || cause.code !== 'PEFT_TARGET_NOT_FOUND') throw cause;
    throw new PeftError(
      'PEFT_ADAPTER_MISMATCH',
      `${where} does not fit this ${model.description.modelType}: ` +
        `${cause.message.split('\n')[0]} Its tensors are named ${list(store.names(), ', ')}.`,
      { hint: 'it was made for another model', cause },
    );
  }
}

interface TableReader {
  readonly path: string;
  readonly embedding: string;
}

/**
 * What belongs to an output layer, or to an embedding, that reads another's table is the other's:
 * the file has it twice.
 */
function sharedName(name: string, readers: readonly TableReader[]): string | undefined {
  const tied = readers.find(({ path }) => name.startsWith(`${path}.`));
  return tied && `${tied.embedding}${name.slice(tied.path.length)}`;
}

/** With and without the class prefix (`bert.`), since a bare model lacks it. */
export function variants(name: string, prefix: string): string[] {
  if (!prefix) return [name];
  return [
    name,
    name.startsWith(`${prefix}.`) ? name.slice(prefix.length + 1) : `${prefix}.${name}`,
  ];
}

/**
 * A whole table that PEFT stores beside an adapter although it never changed. Vectors (`ia3_bias`)
 * were trained.
 */
function equalsBase(
  model: Model,
  format: AdapterFormat,
  name: string,
  store: TensorStore,
  key: string,
): boolean {
  if (model.description.parameters.find((spec) => spec.name === name)!.use === 'vector')
    return false;
  const base = model.readBaseParameter(name);
  const { values } = toFile(isTurned(model, format, name, key), base);
  base.dispose();
  const stored = readFloat32(store.get(key)!);
  return values.every((value, i) => Object.is(value, stored[i]) || value === stored[i]);
}

function areEqual(store: TensorStore, key: string, other: string): boolean {
  const values = readFloat32(store.get(other)!);
  return readFloat32(store.get(key)!).every((value, i) => value === values[i]);
}

/**
 * Whether a file holds the transpose: the checkpoint does, or the format has its matrices that way
 * round.
 */
const isTurned = (model: Model, format: AdapterFormat, name: string, key: string): boolean =>
  model.description.parameters.some((spec) => spec.name === name && spec.transposed === true) !==
  (format.isTransposed?.(key) ?? false);

function toFile(
  isTurnedRound: boolean,
  tensor: Tensor,
): { shape: readonly number[]; values: Float32Array } {
  if (!isTurnedRound) return { shape: tensor.shape, values: valuesOf(tensor) };
  const turned = tf.transpose(tensor);
  const values = valuesOf(turned);
  turned.dispose();
  return { shape: turned.shape, values };
}

function fromFile(isTurnedRound: boolean, { shape }: OwnedParameter, values: Float32Array): Tensor {
  return isTurnedRound
    ? tf.tidy(() => tf.transpose(tf.tensor(values, [...shape].reverse())))
    : tf.tensor(values, [...shape], 'float32');
}

/** A copy: files are written seldom. */
export const valuesOf = (tensor: Tensor): Float32Array => Float32Array.from(tensor.dataSync());

const list = (items: readonly string[], separator: string): string =>
  `${items.slice(0, 3).join(separator)}${items.length > 3 ? `${separator}and ${items.length - 3} more` : ''}`;
