/** The tensors of a checkpoint that a description asks for, checked before any is read. */
import { PeftError } from '@peft/errors';
import type { QuantizedSource } from '@peft/hub';
import type { TensorSource } from '@peft/ops';
import type { ModelDescription, ParameterSpec } from '../../description/model-description.js';
import type { TensorPiece } from '../../description/tensor-entry.js';
import { vocabularyParameters } from '../../description/vocabulary.js';
import { joinedQuantized } from './joined-quantized.js';
import { joinedSource, sliceOf } from './joined-source.js';
import { resizedBuffer, resizedRows } from './resized-rows.js';
import type { WeightStore } from './weight-store.js';

/** A parameter as it is stored: plain or quantised. */
export interface StoredParameter {
  readonly source?: TensorSource;
  readonly quantized?: QuantizedSource;
}

/** How many tensors an error names. */
const NAMED = 3;

/**
 * Names of parameters → what the checkpoint has of them; what it lacks is absent.
 *
 * @param options.isResized the vocabulary is of another size than the checkpoint's: its tables come
 *   with as many rows as the description says.
 * @throws PEFT_WEIGHT_SHAPE for a table that is stored quantised and would be resized
 */
export function storedParameters(
  description: ModelDescription,
  store: WeightStore,
  { isResized = false }: { readonly isResized?: boolean } = {},
): ReadonlyMap<string, StoredParameter> {
  const resized = isResized ? vocabularyParameters(description) : new Set<string>();
  return new Map(
    description.parameters.flatMap((spec) => {
      const found = storedParameter(spec, description, store, resized.has(spec.name));
      return found ? [[spec.name, found] as const] : [];
    }),
  );
}

/** Under its own name, another one, or in pieces. */
function storedParameter(
  spec: ParameterSpec,
  description: ModelDescription,
  store: WeightStore,
  isResized: boolean,
): StoredParameter | undefined {
  for (const name of [spec.name, ...(spec.aliases ?? [])]) {
    for (const variant of variantsOf(name, description)) {
      const quantized = spec.use === 'vector' ? undefined : store.quantized?.(variant);
      if (quantized) {
        if (isResized && !isOfShape(quantized, spec.shape)) throw quantizedVocabulary(variant);
        return { quantized };
      }
      const stored = store.get(variant);
      const source = stored && isResized ? withRows(stored, spec.shape) : stored;
      // a head of another model's task may have other classes: then this one is made fresh
      if (source && !(spec.init && name !== spec.name && !isOfShape(source, storedShape(spec))))
        return { source };
    }
  }
  for (const pieces of spec.pieces ?? []) {
    const quantized = quantizedPieces(spec.name, pieces, description, store);
    if (quantized) return { quantized };
    const sources = pieces.map((piece) => storedPiece(piece, description, store));
    if (sources.every((source) => source !== undefined))
      return { source: joinedSource(spec.name, sources) };
  }
  return undefined;
}

/** With as many rows as the shape; as it is where it differs elsewhere, too. */
function withRows(source: TensorSource, shape: readonly number[]): TensorSource {
  const [rows, ...width] = shape;
  if (rows === 1 && source.shape[0] === 1) return resizedBuffer(source, shape.at(-1)!);
  const isOther = isOfShape({ shape: source.shape.slice(1) }, width) && source.shape[0] !== rows;
  return isOther && source.shape[0]! > 0 ? resizedRows(source, rows!) : source;
}

const quantizedVocabulary = (name: string): PeftError =>
  new PeftError(
    'PEFT_WEIGHT_SHAPE',
    `${name}: it is stored quantised, so that its vocabulary cannot grow or shrink.`,
    { hint: 'take the unquantised checkpoint, and quantise while it is read' },
  );

function storedPiece(
  { name, index }: TensorPiece,
  description: ModelDescription,
  store: WeightStore,
): TensorSource | undefined {
  const source = variantsOf(name, description)
    .map((variant) => store.get(variant))
    .find((found) => found !== undefined);
  return source && index !== undefined ? sliceOf(source, index) : source;
}

/** The pieces as they are packed, where all of them are, and alike. */
function quantizedPieces(
  name: string,
  pieces: readonly TensorPiece[],
  description: ModelDescription,
  store: WeightStore,
): QuantizedSource | undefined {
  const found = pieces.map((piece) =>
    variantsOf(piece.name, description)
      .map((variant) => store.quantized?.(variant, piece.index))
      .find((source) => source !== undefined),
  );
  return found.every((source) => source !== undefined) ? joinedQuantized(name, found) : undefined;
}

/** The checkpoint may carry the class prefix (`bert.`) or lack it. */
const variantsOf = (name: string, { basePrefix: prefix }: ModelDescription): string[] => [
  name,
  ...(prefix
    ? [name.startsWith(`${prefix}.`) ? name.slice(prefix.length + 1) : `${prefix}.${name}`]
    : []),
];

export const storedBytes = (found: StoredParameter | undefined): number =>
  (found?.quantized ?? found?.source)?.byteLength ?? 0;

/** As a plain checkpoint stores it. */
export const storedShape = ({ shape, transposed }: ParameterSpec): readonly number[] =>
  transposed ? [...shape].reverse() : shape;

const isOfShape = ({ shape }: Pick<TensorSource, 'shape'>, expected: readonly number[]): boolean =>
  shape.length === expected.length && shape.every((size, i) => size === expected[i]);

/**
 * Every tensor that is there has the shape that the config asks for.
 * @throws PEFT_WEIGHT_SHAPE with the first tensors that have not
 */
export function requireShapes(
  { modelType, parameters }: ModelDescription,
  stored: ReadonlyMap<string, StoredParameter>,
): void {
  const others = parameters.flatMap((spec) => {
    const { source, quantized } = stored.get(spec.name) ?? {};
    const found = quantized ?? source;
    const expected = quantized ? spec.shape : storedShape(spec);
    if (!found || isOfShape(found, expected)) return [];
    const [has, asked] = [found.shape, expected].map((shape) => `[${shape.join(', ')}]`);
    return [`${found.name}: the checkpoint holds ${has}, the config asks for ${asked}`];
  });
  if (others.length === 0) return;
  const more = others.length - NAMED;
  throw new PeftError(
    'PEFT_WEIGHT_SHAPE',
    `${modelType}: ${others.slice(0, NAMED).join('; ')}${more > 0 ? `; and ${more} more` : ''}.`,
    { hint: 'config.json and the weights are not of the same model' },
  );
}

/**
 * Every tensor is there that cannot be made fresh.
 * @throws PEFT_WEIGHT_MISSING with the first names
 */
export function requireComplete(
  description: ModelDescription,
  store: WeightStore,
  stored: ReadonlyMap<string, StoredParameter>,
): void {
  const missing = description.parameters.filter(({ name, init }) => !init && !stored.has(name));
  if (missing.length === 0) return;
  const names = missing
    .slice(0, 5)
    .map(({ name }) => name)
    .join(', ');
  const has = [...store.names()].slice(0, 3).join(', ');
  throw new PeftError(
    'PEFT_WEIGHT_MISSING',
    `${description.modelType}: the checkpoint lacks ${missing.length} of ` +
      `${description.parameters.length} tensors: ${names}${missing.length > 5 ? ' …' : ''}.`,
    {
      hint: `it has names such as ${has || '(none)'}; config.json and the weights are probably not of the same model`,
    },
  );
}
