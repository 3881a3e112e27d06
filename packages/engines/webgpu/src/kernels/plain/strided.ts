/** Axes and strides of a walk over several tensors at once, with as few axes as it can be done in. */

export const MOST_AXES = 6;

export interface Walk {
  readonly sizes: readonly number[];
  /** Of each tensor, elements from one index of an axis to the next. */
  readonly strides: readonly (readonly number[])[];
}

/** Row-major strides. */
export function stridesOf(shape: readonly number[]): number[] {
  const strides = new Array<number>(shape.length).fill(1);
  for (let axis = shape.length - 2; axis >= 0; axis -= 1)
    strides[axis] = strides[axis + 1]! * shape[axis + 1]!;
  return strides;
}

/** Leaves out axes of one index, and joins neighbours that every tensor walks as if they were one. */
export function joined({ sizes, strides }: Walk): Walk {
  const kept: { size: number; steps: number[] }[] = [];
  sizes.forEach((size, axis) => {
    if (size === 1) return;
    const steps = strides.map((each) => each[axis]!);
    const before = kept.at(-1);
    if (before?.steps.every((step, n) => step === steps[n]! * size)) {
      before.size *= size;
      before.steps = steps;
    } else kept.push({ size, steps });
  });
  return {
    sizes: kept.map(({ size }) => size),
    strides: strides.map((_, n) => kept.map(({ steps }) => steps[n]!)),
  };
}

/** WGSL that turns `index` into `at0`, `at1`, … of the tensors `strided`; see {@link walkCounts}. */
export function walkText(axes: number, strided: readonly number[]): string {
  const lines = ['var rest = index;'];
  for (const n of strided) lines.push(`var at${n} = 0u;`);
  for (let axis = axes - 1; axis >= 0; axis -= 1) {
    // the first axis takes what is left
    const place = axis === 0 ? 'rest' : `(rest % size${axis})`;
    for (const n of strided) lines.push(`at${n} += ${place} * step${n}_${axis};`);
    if (axis > 0) lines.push(`rest /= size${axis};`);
  }
  return lines.join('\n  ');
}

/** Names of the counts that {@link walkText} reads. */
export const walkNames = (axes: number, strided: readonly number[]): string[] => [
  ...Array.from({ length: axes }, (_, axis) => `size${axis}`),
  ...strided.flatMap((n) => Array.from({ length: axes }, (_, axis) => `step${n}_${axis}`)),
];

/** Those counts. A negative step is its two's complement, which adds up to the same place. */
export const walkCounts = ({ sizes, strides }: Walk): number[] => [
  ...sizes,
  ...strides.flatMap((steps) => steps.map((step) => step >>> 0)),
];
