/**
 * One update of state on a device, page by page: a page's parameters and gradients side by side,
 * the rule's operations, and back into the variables.
 */
import * as tf from '@tensorflow/tfjs';
import type { Scalar, Tensor, Tensor1D } from '@tensorflow/tfjs';
import type { UpdateContext } from '../rules/update-context.js';
import type { StatePages } from './state-pages.js';
import type { PageSegments, Segment } from './page-layout.js';
import type { Gradients, TrainableParameter } from '../parameters/parameter.js';
import type { TensorRule } from '../rules/tensor-rule.js';

/** A parameter that has a gradient. */
export interface TouchedParameter {
  readonly parameter: TrainableParameter;
  readonly gradient: Gradients[string];
  readonly context: UpdateContext;
}

type Numbers = Readonly<Record<string, number>>;

/**
 * Updates the parameters in `touched` (by name) and their state; the others keep every byte. Leaves
 * no tensor behind.
 */
export async function updatePages(
  rule: TensorRule,
  pages: StatePages,
  touched: ReadonlyMap<string, TouchedParameter>,
): Promise<void> {
  const numbers = new Map(
    [...touched].map(([name, { context }]) => [name, rule.coefficients(context)]),
  );
  const scalars = scalarCache();
  let pieces: Tensor1D[] = []; // of a parameter that spans pages
  const assign = ({ parameter: name, elements, start, end }: Segment, values: Tensor1D): void => {
    const { variable } = touched.get(name)!.parameter;
    if (end - start === elements) return variable.assign(shaped(values, variable.shape));
    pieces.push(tf.keep(values));
    if (end < elements) return;
    variable.assign(shaped(tf.concat(pieces), variable.shape));
    tf.dispose(pieces);
    pieces = [];
  };
  try {
    await pages.visit(touched, (segments, slots) => {
      const values = sideBySide(segments.map((segment) => valuesOf(segment, touched)));
      const gradient = tf.tidy(() => scaled(gradientOf(segments, touched), touched, scalars.get));
      const mask = maskOf(segments, touched);
      const made = rule.update(
        values,
        gradient,
        slots,
        coefficientsOf(segments, numbers, scalars.get),
      );
      const kept = mask
        ? {
            values: tf.where<Tensor1D>(mask, made.values, values),
            slots: made.slots.map((slot, i) => tf.where<Tensor1D>(mask, slot, slots[i]!)),
          }
        : made;
      const parts =
        segments.length > 1
          ? tf.split<Tensor1D>(
              kept.values,
              segments.map(({ start, end }) => end - start),
            )
          : [kept.values];
      segments.forEach(
        (segment, i) => touched.has(segment.parameter) && assign(segment, parts[i]!),
      );
      return kept.slots;
    });
  } finally {
    tf.dispose(pieces);
    scalars.dispose();
  }
}

const lengthOf = (segments: PageSegments): number =>
  segments.at(-1)!.offset + segments.at(-1)!.end - segments.at(-1)!.start;
const sideBySide = (parts: readonly Tensor1D[]): Tensor1D =>
  parts.length > 1 ? tf.concat<Tensor1D>([...parts]) : parts[0]!;
/** Without an operation where there is nothing to do: most small parameters are vectors. */
const shaped = (tensor: Tensor, shape: number[]): Tensor =>
  tensor.rank === shape.length ? tensor : tf.reshape(tensor, shape);
const part = (tensor: Tensor, { start, end, elements }: Segment): Tensor1D => {
  const flat = shaped(tensor, [elements]) as Tensor1D;
  return end - start === elements ? flat : tf.slice(flat, [start], [end - start]);
};

/** Zeros where nothing is updated. */
function valuesOf(segment: Segment, touched: ReadonlyMap<string, TouchedParameter>): Tensor1D {
  const own = touched.get(segment.parameter);
  return own ? part(own.parameter.variable, segment) : tf.zeros([segment.end - segment.start]);
}

/** Gradients that are arrays go to the device as one for each page. */
function gradientOf(
  segments: PageSegments,
  touched: ReadonlyMap<string, TouchedParameter>,
): Tensor1D {
  const found = segments.map((segment) => touched.get(segment.parameter)?.gradient);
  if (found.some((gradient) => gradient instanceof tf.Tensor)) {
    return sideBySide(
      segments.map((segment, i) => {
        const gradient = found[i];
        if (gradient instanceof tf.Tensor) return part(gradient, segment);
        return gradient
          ? tf.tensor1d(gradient.subarray(segment.start, segment.end), 'float32')
          : tf.zeros<tf.Rank.R1>([segment.end - segment.start]);
      }),
    );
  }
  const arrays = found as readonly (Float32Array | undefined)[];
  if (segments.length === 1)
    return tf.tensor1d(arrays[0]!.subarray(segments[0]!.start, segments[0]!.end), 'float32');
  const side = new Float32Array(lengthOf(segments));
  segments.forEach(
    ({ start, end, offset }, i) => arrays[i] && side.set(arrays[i].subarray(start, end), offset),
  );
  return tf.tensor1d(side, 'float32');
}

function scaled(
  gradient: Tensor1D,
  touched: ReadonlyMap<string, TouchedParameter>,
  scalar: (value: number) => Scalar,
): Tensor1D {
  const { gradientScale } = touched.values().next().value!.context; // one for all
  return gradientScale === 1 ? gradient : tf.mul(gradient, scalar(gradientScale));
}

/** True where a parameter has a gradient; undefined when all have one. */
function maskOf(
  segments: PageSegments,
  touched: ReadonlyMap<string, TouchedParameter>,
): Tensor1D | undefined {
  if (segments.every(({ parameter }) => touched.has(parameter))) return undefined;
  const mask = new Uint8Array(lengthOf(segments));
  for (const { parameter, start, end, offset } of segments)
    if (touched.has(parameter)) mask.fill(1, offset, offset + end - start);
  return tf.tensor1d(mask, 'bool');
}

/**
 * Numbers that all parameters of the page share as scalars, the others as a value for each element.
 */
function coefficientsOf(
  segments: PageSegments,
  numbers: ReadonlyMap<string, Numbers>,
  scalar: (value: number) => Scalar,
): Record<string, Tensor> {
  const own = segments.map(({ parameter }) => numbers.get(parameter));
  const first = own.find((found) => found !== undefined)!;
  const made: Record<string, Tensor> = {};
  for (const [name, value] of Object.entries(first)) {
    if (own.every((found) => found === undefined || found[name] === value))
      made[name] = scalar(value);
    else {
      const vector = new Float32Array(lengthOf(segments));
      segments.forEach(({ start, end, offset }, i) =>
        vector.fill((own[i] ?? first)[name]!, offset, offset + end - start),
      );
      made[name] = tf.tensor1d(vector, 'float32');
    }
  }
  return made;
}

/** Scalars of one update, each uploaded once. */
function scalarCache(): { get(value: number): Scalar; dispose(): void } {
  const made = new Map<number, Scalar>();
  return {
    get: (value) => {
      const found = made.get(value) ?? tf.keep(tf.scalar(value, 'float32'));
      made.set(value, found);
      return found;
    },
    dispose: () => tf.dispose([...made.values()]),
  };
}
