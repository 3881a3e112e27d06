/**
 * `quant_method: mxfp4`, gpt-oss's experts: beside `experts.gate_up_proj_blocks [X, R, G, 16]`, two
 * 4-bit floats (e2m1) a byte, the even element in the low nibble, stands `…_scales [X, R, G]`, an
 * exponent of each 32 (OCP Microscaling formats 1.0): w = value·2^(scale − 127). A plain checkpoint
 * has `experts.gate_up_proj [X, 32·G, R]`.
 */
import { codeBook, type TensorSource } from '@peft/ops';
import { decodeValues } from '../../tensor-values.js';
import { decodedSource } from '../decoded-source.js';
import { requireFinite, shapedPart, sizeOf, typedPart } from '../parts.js';
import { partsError } from '../parts-error.js';
import type { FormReader, QuantizedForm, QuantizedSource } from '../quantized-form.js';

const BLOCKS = '_blocks';
const SCALES = '_scales';
/** What else gpt-oss has: transformers packs experts alone. */
const PLAIN_MODULES = ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'router'];
const VALUES = codeBook('mxfp4');

export const mxfp4Form = Object.freeze<QuantizedForm>({
  method: 'mxfp4',
  read: (settings): FormReader => ({
    inMemory: {
      format: 'mxfp4',
      blockSize: 32,
      doubleQuantization: false,
      skipModules: [...PLAIN_MODULES, ...settings.modules('modules_to_not_convert')],
    },
    weightName(stored) {
      if (stored.endsWith(SCALES)) return undefined;
      return stored.endsWith(BLOCKS) ? stored.slice(0, -BLOCKS.length) : stored;
    },
    weight(tensors, name) {
      if (!tensors.get(`${name}${BLOCKS}`)) {
        if (!tensors.get(`${name}${SCALES}`)) return undefined;
        throw partsError(`${name}${BLOCKS}`, 'it is missing');
      }
      const blocks = typedPart(tensors, `${name}${BLOCKS}`, ['U8']);
      const { shape } = blocks;
      if (shape.length !== 4 || shape[3] !== 16)
        throw partsError(
          blocks.name,
          `it is [${shape.join(', ')}], not [experts, rows, blocks, 16]`,
        );
      const scales = shapedPart(tensors, `${name}${SCALES}`, ['U8'], shape.slice(0, 3));
      return {
        dense: expertValues(name, blocks, scales),
        packedEntry: (expert) => packedExpert(name, blocks, scales, expert),
      };
    },
  }),
});

/** One expert, `[R, 32·G]`, the nibbles of each byte changed over. */
function packedExpert(
  name: string,
  blocks: TensorSource,
  scales: TensorSource,
  expert: number,
): QuantizedSource | undefined {
  const [experts, rows, groups] = blocks.shape as [number, number, number, number];
  const size = rows * groups;
  if (expert >= experts) return undefined; // the checkpoint's shape is refused then
  const shape = [rows, 32 * groups] as const;
  return {
    name: `${name}[${expert}]`,
    format: 'mxfp4',
    shape,
    byteLength: size * 17,
    read: () => ({
      name: `${name}[${expert}]`,
      format: 'mxfp4',
      shape,
      packed: blocks.read(expert * size * 16, size * 16).map((byte) => (byte << 4) | (byte >> 4)),
      absmax: scaleValues(scales, expert * size, size),
      blockSize: 32,
    }),
  };
}

const scaleValues = (scales: TensorSource, first: number, count: number): Float32Array =>
  requireFinite(scales.name, decodeValues('F8_E8M0', scales.read(first, count)));

/** `[X, 32·G, R]`, an expert at a time. */
function expertValues(name: string, blocks: TensorSource, scales: TensorSource): TensorSource {
  const [experts, rows, groups] = blocks.shape as [number, number, number, number];
  const columns = 32 * groups;
  return decodedSource({
    name,
    shape: [experts, columns, rows],
    dtype: 'BF16',
    open: () => (first, count) => {
      const size = sizeOf([rows, groups]);
      const bytes = blocks.read(first * size * 16, count * size * 16);
      const factors = scaleValues(scales, first * size, count * size);
      const values = new Float32Array(bytes.length * 2);
      for (let place = 0; place < bytes.length; place += 1) {
        const factor = factors[place >> 4]!;
        const row = Math.floor(place / (groups * 16)); // of all experts
        const expert = Math.floor(row / rows);
        const column = 2 * (place - row * groups * 16);
        const at = (expert * columns + column) * rows + (row % rows);
        values[at] = VALUES[bytes[place]! & 15]! * factor;
        values[at + rows] = VALUES[bytes[place]! >> 4]! * factor;
      }
      return values;
    },
  });
}
