/** Weights in 4 or 8 bits, multiplied by ONNX Runtime's own operator for them. */
import { floatInitializer, MICROSOFT_DOMAIN, type OnnxGraph } from '../graph/onnx-graph.js';
import { BLOCK_SIZE, blockCodes, blocksOf, type Bits } from './block-codes.js';
import { plainWeights, type WeightForm, type WeightParameter } from './weight-form.js';

/** Below it a weight is not worth its scales. */
const SMALLEST_ELEMENTS = 4096;

/**
 * Matrices in `bits`, and tables in 8 bits, also where the output layer reads them. A classifier's
 * last layer and what is small stay numbers of the graph's type.
 */
export const blockWeights = (bits: Bits): WeightForm => ({
  product(graph, x, weight, bias) {
    if (!isWorthIt(weight)) return plainWeights.product(graph, x, weight, bias);
    const [rows, columns] = weight.shape as [number, number];
    const own = weight.isTable ? 8 : bits;
    const { codes, scales } = storedBlocks(graph, weight, own);
    const y = graph.node(
      'MatMulNBits',
      [x, codes, scales],
      { K: columns, N: rows, bits: own, block_size: BLOCK_SIZE },
      MICROSOFT_DOMAIN,
    );
    return bias === undefined ? y : graph.node('Add', [y, bias]);
  },
  rows(graph, weight, ids) {
    if (!isWorthIt(weight)) return plainWeights.rows(graph, weight, ids);
    const [, columns] = weight.shape as [number, number];
    const { codes, scales } = storedBlocks(graph, weight, 8);
    const picked = (table: string) => graph.node('Gather', [table, ids]);
    const centred = graph.node('Sub', [
      graph.cast(picked(codes), graph.floatType),
      graph.float(128),
    ]);
    const scale = graph.node('Unsqueeze', [picked(scales), graph.integers([2])]);
    const flat = graph.node('Reshape', [
      graph.node('Mul', [centred, scale]),
      graph.integers([-1, blocksOf(columns) * BLOCK_SIZE]),
    ]);
    if (columns % BLOCK_SIZE === 0) return flat;
    const [start, end, axis] = [0, columns, 1].map((value) => graph.integers([value]));
    return graph.node('Slice', [flat, start!, end!, axis!]);
  },
});

const isWorthIt = ({ shape, keepsBits }: WeightParameter): boolean =>
  !keepsBits && shape[0]! * shape[1]! >= SMALLEST_ELEMENTS;

/** Codes and scales of a weight as initializers. */
function storedBlocks(
  graph: OnnxGraph,
  { name, shape, values }: WeightParameter,
  bits: Bits,
): { readonly codes: string; readonly scales: string } {
  const [rows, columns] = shape as [number, number];
  const blocks = blocksOf(columns);
  const bytes = (BLOCK_SIZE * bits) / 8;
  const scaleType = graph.floatType;
  // Scales are written behind the codes: what was made for these is kept that long.
  let kept: Float32Array | undefined;
  const make = () => blockCodes(values(), { columns, bits, scaleType });
  return {
    codes: graph.initializer({
      name: `${name}_codes`,
      type: 'uint8',
      shape: [rows, blocks, bytes],
      byteLength: rows * blocks * bytes,
      bytes() {
        const { codes, scales } = make();
        kept = scales;
        return codes;
      },
    }),
    scales: graph.initializer(
      floatInitializer(`${name}_scales`, [rows, blocks], scaleType, () => {
        const scales = kept ?? make().scales;
        kept = undefined;
        return scales;
      }),
    ),
  };
}
