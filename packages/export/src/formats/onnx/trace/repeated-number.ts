import { cannotRecord } from './cannot-record.js';
import type { TraceBatch } from './trace-batch.js';
import type { OnnxGraph } from '../graph/onnx-graph.js';

/**
 * A number in each place of a tensor that has a row for each token (zeros that fill heads up).
 * @throws CannotRecord for other constants whose size depends on the texts
 */
export function repeatedNumber(
  {
    graph,
    trace,
    ids,
  }: { readonly graph: OnnxGraph; readonly trace: TraceBatch; readonly ids: string },
  values: ArrayLike<number>,
  shape: readonly number[],
): string {
  const [rows, ...rest] = shape;
  const first = values[0]!;
  const isKnown =
    rows === trace.sequences * trace.length &&
    !rest.some((size) => trace.isOpen(size)) &&
    Array.from(values).every((value) => value === first);
  if (!isKnown) throw cannotRecord('it makes constants of the size of its input');
  const tokens = graph.node('Shape', [graph.node('Reshape', [ids, graph.integers([-1])])]);
  return graph.node('Expand', [
    graph.float(first),
    graph.node('Concat', [tokens, graph.integers(rest)], { axis: 0 }),
  ]);
}
