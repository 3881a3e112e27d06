/** GPTQ, AWQ and compressed-tensors: integer codes of groups, each in its published layout. */
import { decodeFloat32, encodeFloat16 } from '@peft/ops';
import { bytesSource, f16, type PackedWeight, type Packer } from './packed-checkpoint.js';

interface Quantised {
  readonly rows: number;
  readonly columns: number;
  readonly groups: number;
  /** `[rows, columns]`, from 0 up. */
  readonly codes: Uint8Array;
  /** `[rows, groups]`, of float16. */
  readonly scales: Float32Array;
  readonly zeros: Uint8Array;
  readonly values: Float32Array;
}

const roundToHalf = (value: number): number =>
  decodeFloat32(new Uint8Array(encodeFloat16(Float32Array.of(value)).buffer), 'F16')[0]!;

/** @param groupOf column → group; default: runs of equal length */
function quantise(
  values: Float32Array,
  [rows, columns]: readonly [number, number],
  {
    bits,
    groupSize = columns,
    isSymmetric = false,
    groupOf = (column) => Math.floor(column / groupSize),
  }: {
    readonly bits: number;
    readonly groupSize?: number | undefined;
    readonly isSymmetric?: boolean;
    readonly groupOf?: ((column: number) => number) | undefined;
  },
): Quantised {
  const groups = columns / groupSize;
  const most = 2 ** bits - 1;
  const [lowest, highest] = [new Float32Array(rows * groups), new Float32Array(rows * groups)];
  const place = (i: number) => Math.floor(i / columns) * groups + groupOf(i % columns);
  values.forEach((value, i) => {
    lowest[place(i)] = Math.min(lowest[place(i)]!, value);
    highest[place(i)] = Math.max(highest[place(i)]!, value);
  });
  const middle = 2 ** (bits - 1);
  const scales = lowest.map((low, group) =>
    isSymmetric
      ? roundToHalf(Math.max(-low, highest[group]!) / (middle - 1))
      : roundToHalf((highest[group]! - low) / most),
  );
  const zeros = Uint8Array.from(lowest, (low, group) =>
    isSymmetric ? middle : Math.min(most, Math.round(-low / scales[group]!)),
  );
  const codes = Uint8Array.from(values, (value, i) =>
    Math.max(0, Math.min(most, Math.round(value / scales[place(i)]!) + zeros[place(i)]!)),
  );
  const read = Float32Array.from(codes, (code, i) => (code - zeros[place(i)]!) * scales[place(i)]!);
  return { rows, columns, groups, codes, scales, zeros, values: read };
}

/** Numbers of a few bits behind each other, the lowest bits of a word first. */
function wordsOf(count: number, bits: number, at: (index: number) => number): Int32Array {
  const words = new Uint32Array(Math.ceil((count * bits) / 32));
  for (let i = 0; i < count; i += 1) {
    const [word, shift] = [(i * bits) >>> 5, (i * bits) & 31];
    words[word]! |= at(i) << shift;
    if (shift + bits > 32) words[word + 1]! |= at(i) >>> (32 - shift);
  }
  return new Int32Array(words.buffer);
}

/** `[columns of lines]`: each line packed, the lines beside each other. */
function packedColumns(lines: readonly Int32Array[]): Int32Array {
  const height = lines[0]!.length;
  return Int32Array.from(
    { length: height * lines.length },
    (_, i) => lines[i % lines.length]![Math.floor(i / lines.length)]!,
  );
}

const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i);
const turned = (values: ArrayLike<number>, rows: number, columns: number): Float32Array =>
  Float32Array.from(
    { length: rows * columns },
    (_, i) => values[(i % rows) * columns + Math.floor(i / rows)]!,
  );

/** What is packed for an engine keeps all bits; what is decoded is float16. */
const plainOf = (name: string, { rows, columns, values }: Quantised, isDecoded: boolean) =>
  isDecoded
    ? f16(name, [rows, columns], values)
    : bytesSource(name, 'F32', [rows, columns], values);

export const gptq =
  ({
    bits,
    groupSize,
    isOrdered = false,
    isSecondLayout = false,
  }: {
    readonly bits: number;
    readonly groupSize: number;
    readonly isOrdered?: boolean;
    readonly isSecondLayout?: boolean;
  }): Packer =>
  (name, values, shape) => {
    const columnGroups = shape[1]! / groupSize;
    const groupOf = isOrdered ? (column: number) => (column * 7) % columnGroups : undefined;
    const weight = quantise(values, shape as [number, number], { bits, groupSize, groupOf });
    const { rows, columns, groups, codes, scales, zeros } = weight;
    const module = name.replace(/\.weight$/, '');
    const stored = (zero: number) => (isSecondLayout ? zero : (zero + 2 ** bits - 1) % 2 ** bits);
    const lines = range(rows).map((row) =>
      wordsOf(columns, bits, (k) => codes[row * columns + k]!),
    );
    const points = range(groups).flatMap((group) => [
      ...wordsOf(rows, bits, (row) => stored(zeros[row * groups + group]!)),
    ]);
    const order = range(columns).map(groupOf ?? ((k) => Math.floor(k / groupSize)));
    return {
      tensors: [
        bytesSource(`${module}.qweight`, 'I32', [lines[0]!.length, rows], packedColumns(lines)),
        bytesSource(
          `${module}.qzeros`,
          'I32',
          [groups, points.length / groups],
          Int32Array.from(points),
        ),
        f16(`${module}.scales`, [groups, rows], turned(scales, rows, groups)),
        bytesSource(`${module}.g_idx`, 'I32', [columns], Int32Array.from(order)),
      ],
      plain: plainOf(name, weight, bits !== 4 || isOrdered),
    };
  };

const AWQ_ORDER = [0, 2, 4, 6, 1, 3, 5, 7];

export const awq =
  (groupSize: number): Packer =>
  (name, values, shape) => {
    const weight = quantise(values, shape as [number, number], { bits: 4, groupSize });
    const { rows, columns, groups, codes, scales, zeros } = weight;
    const module = name.replace(/\.weight$/, '');
    const line = (at: (row: number) => number) =>
      wordsOf(rows, 4, (i) => at((i & ~7) + AWQ_ORDER[i & 7]!));
    const weights = range(columns).flatMap((k) => [...line((row) => codes[row * columns + k]!)]);
    const points = range(groups).flatMap((g) => [...line((row) => zeros[row * groups + g]!)]);
    return {
      tensors: [
        bytesSource(`${module}.qweight`, 'I32', [columns, rows / 8], Int32Array.from(weights)),
        bytesSource(`${module}.qzeros`, 'I32', [groups, rows / 8], Int32Array.from(points)),
        f16(`${module}.scales`, [groups, rows], turned(scales, rows, groups)),
      ],
      plain: plainOf(name, weight, false),
    };
  };

/** `pack-quantized`, or `int-quantized` in plain bytes. */
export const compressedTensors =
  ({
    bits,
    groupSize,
    isSymmetric,
    isPacked,
  }: {
    readonly bits: 4 | 8;
    readonly groupSize?: number;
    readonly isSymmetric: boolean;
    readonly isPacked: boolean;
  }): Packer =>
  (name, values, shape): PackedWeight => {
    const weight = quantise(values, shape as [number, number], { bits, groupSize, isSymmetric });
    const { rows, columns, groups, codes, scales, zeros } = weight;
    const middle = 2 ** (bits - 1);
    const lines = range(rows).flatMap((row) => [
      ...wordsOf(columns, bits, (k) => codes[row * columns + k]!),
    ]);
    const points = packedColumns(
      range(groups).map((group) => wordsOf(rows, bits, (row) => zeros[row * groups + group]!)),
    );
    const zeroPoints = isPacked
      ? bytesSource(`${name}_zero_point`, 'I32', [points.length / groups, groups], points)
      : bytesSource(
          `${name}_zero_point`,
          'I8',
          [rows, groups],
          Int8Array.from(zeros, (zero) => zero - middle),
        );
    const stored = isPacked
      ? [
          bytesSource(`${name}_packed`, 'I32', [rows, lines.length / rows], Int32Array.from(lines)),
          bytesSource(`${name}_shape`, 'I64', [2], BigInt64Array.of(BigInt(rows), BigInt(columns))),
        ]
      : [
          bytesSource(
            name,
            'I8',
            shape,
            Int8Array.from(codes, (code) => code - middle),
          ),
        ];
    return {
      tensors: [
        ...stored,
        f16(`${name}_scale`, [rows, groups], scales),
        ...(isSymmetric ? [] : [zeroPoints]),
      ],
      plain: plainOf(name, weight, bits === 8 && (groups > 1 || !isSymmetric)),
    };
  };
