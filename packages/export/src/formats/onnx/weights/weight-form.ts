/** How the weights of a model lie in a graph, and how the graph computes with them. */
import { floatInitializer, type OnnxGraph } from '../graph/onnx-graph.js';

/** A parameter of the model. */
export interface WeightParameter {
  readonly name: string;
  /** `[out, in]`, or `[rows, width]` of a table. */
  readonly shape: readonly number[];
  /** Rows of it are read by id. */
  readonly isTable: boolean;
  /** It is not worth fewer bits: the last layer of a classifier, or what chooses experts. */
  readonly keepsBits: boolean;
  /** Its merged values in float32. */
  values(): Float32Array;
}

export interface WeightForm {
  /** x·Wᵀ + b. x `[N, in]`. */
  product(graph: OnnxGraph, x: string, weight: WeightParameter, bias?: string): string;
  /** Rows of a table. ids `[N]` */
  rows(graph: OnnxGraph, weight: WeightParameter, ids: string): string;
}

/** Weights as numbers of the graph's own type. */
export const plainWeights: WeightForm = Object.freeze({
  product: (graph: OnnxGraph, x: string, weight: WeightParameter, bias?: string) =>
    graph.node('Gemm', [x, stored(graph, weight), ...(bias === undefined ? [] : [bias])], {
      transB: 1,
    }),
  rows: (graph: OnnxGraph, weight: WeightParameter, ids: string) =>
    graph.node('Gather', [stored(graph, weight), ids]),
});

/** A parameter as an initializer of the graph's own type. */
export const stored = (graph: OnnxGraph, { name, shape, values }: WeightParameter): string =>
  graph.initializer(floatInitializer(name, shape, graph.floatType, values));
