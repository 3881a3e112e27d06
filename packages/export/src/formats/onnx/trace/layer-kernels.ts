/** Norms, activations, rotary positions and picked rows as operators of ONNX. */
import type { TensorInfo } from '@tensorflow/tfjs';
import type { ActivationName, KernelInputs, KernelName, PeftKernels } from '@peft/ops';
import type { OnnxGraph } from '../graph/onnx-graph.js';
import type { Recording } from './recording.js';
import type { Recorder } from './tensor-kernels.js';

/** A kernel of ours with its inputs and attributes. */
type PeftRecorder<K extends KernelName> = (
  recording: Recording,
  inputs: KernelInputs<K>,
  attributes: PeftKernels[K]['attributes'],
) => TensorInfo | TensorInfo[];

/** Gives a recorder of one of our kernels the type of all. */
export const recorder = <K extends KernelName>(record: PeftRecorder<K>): Recorder =>
  // tfjs hands every kernel the inputs and attributes that `runKernel` was called with
  record as Recorder;

/** f(x). Formulas: `activation.ts` of @peft/ops. */
function activated(graph: OnnxGraph, kind: ActivationName, x: string): string {
  const times = (value: string, by: string | number) =>
    graph.node('Mul', [value, typeof by === 'number' ? graph.float(by) : by]);
  const swish = (slope: number) =>
    times(x, graph.node('Sigmoid', [slope === 1 ? x : times(x, slope)]));
  const plusOne = (value: string) => graph.node('Add', [value, graph.float(1)]);
  switch (kind) {
    case 'gelu': {
      const scaled = graph.node('Div', [x, graph.float(Math.SQRT2)]);
      return times(times(x, plusOne(graph.node('Erf', [scaled]))), 0.5);
    }
    case 'gelu_tanh': {
      const cubic = times(x, plusOne(times(times(x, x), 0.044715)));
      const tanh = graph.node('Tanh', [times(cubic, Math.sqrt(2 / Math.PI))]);
      return times(times(x, plusOne(tanh)), 0.5);
    }
    case 'gelu_quick':
      return swish(1.702);
    case 'silu':
      return swish(1);
    case 'relu':
      return graph.node('Relu', [x]);
    case 'relu_squared': {
      const positive = graph.node('Relu', [x]);
      return times(positive, positive);
    }
    case 'tanh':
      return graph.node('Tanh', [x]);
    case 'sigmoid':
      return graph.node('Sigmoid', [x]);
    case 'leaky_relu':
      return graph.node('LeakyRelu', [x], { alpha: { float: 0.01 } });
  }
}

/** x/√(mean(x²) + ε)·(γ + offset), in float32 also where the graph is not. */
function rmsNorm(
  graph: OnnxGraph,
  x: string,
  gamma: string,
  { epsilon, gammaOffset }: PeftKernels['PeftRmsNorm']['attributes'],
): string {
  const wide = (value: string) =>
    graph.floatType === 'float32' ? value : graph.cast(value, 'float32');
  const [input, scale] = [wide(x), wide(gamma)];
  const number = (value: number) => graph.float(value, 'float32');
  const square = graph.node('Pow', [input, number(2)]);
  const mean = graph.node('ReduceMean', [square], { axes: [-1], keepdims: 1 });
  const root = graph.node('Sqrt', [graph.node('Add', [mean, number(epsilon)])]);
  const whole = gammaOffset === 0 ? scale : graph.node('Add', [scale, number(gammaOffset)]);
  const normed = graph.node('Mul', [graph.node('Div', [input, root]), whole]);
  return graph.floatType === 'float32' ? normed : graph.cast(normed, graph.floatType);
}

/** a·cos − b·sin and b·cos + a·sin on the pairs of each head's columns. */
const rope = recorder<'PeftRope'>(
  (recording, { x, cos, sin }, { positions, heads, interleaved }) => {
    const { graph, trace } = recording;
    const [rows, width] = x!.shape as [number, number];
    const half = cos!.shape[1]!;
    const size = width / heads;
    const angles = (table: TensorInfo) =>
      recording.unsqueeze(
        graph.node('Gather', [
          recording.tableOf(table, trace.positionLimit),
          recording.indexOf(trace.rowsOf(positions)),
        ]),
        1,
      ); // [N, 1, R/2]
    const [c, s] = [angles(cos!), angles(sin!)];
    const parts = (value: string, sizes: readonly number[], axis: number) =>
      sizes.length === 1
        ? [value]
        : graph.nodes('Split', [value, graph.integers(sizes)], sizes.length, { axis });
    const [turning, passed] = parts(
      recording.reshape(recording.valueOf(x!), [-1, heads, size]),
      size > 2 * half ? [2 * half, size - 2 * half] : [size],
      2,
    );
    const [a, b] = interleaved
      ? parts(recording.reshape(turning!, [-1, heads, half, 2]), [1, 1], 3).map((part) =>
          recording.reshape(part, [-1, heads, half]),
        )
      : parts(turning!, [half, half], 2);
    const product = (first: string, second: string) => graph.node('Mul', [first, second]);
    const turned = [
      graph.node('Sub', [product(a!, c), product(b!, s)]),
      graph.node('Add', [product(b!, c), product(a!, s)]),
    ];
    const joined = interleaved
      ? recording.reshape(
          graph.node(
            'Concat',
            turned.map((part) => recording.unsqueeze(part, 3)),
            { axis: 3 },
          ),
          [-1, heads, 2 * half],
        )
      : graph.node('Concat', turned, { axis: 2 });
    const whole =
      passed === undefined ? joined : graph.node('Concat', [joined, passed], { axis: 2 });
    return recording.tensor(recording.reshape(whole, [-1, width]), [rows, width]);
  },
);

/** By the name of our kernel. */
export const LAYER_KERNELS: Readonly<Record<string, Recorder>> = Object.freeze({
  PeftLayerNorm: recorder<'PeftLayerNorm'>((recording, { x, gamma, beta }, { epsilon }) =>
    recording.tensor(
      recording.graph.node(
        'LayerNormalization',
        [x, gamma, beta].flatMap((tensor) => (tensor ? [recording.valueOf(tensor)] : [])),
        { axis: -1, epsilon: { float: epsilon } },
      ),
      x!.shape,
    ),
  ),
  PeftRmsNorm: recorder<'PeftRmsNorm'>((recording, { x, gamma }, attributes) =>
    recording.tensor(
      rmsNorm(recording.graph, recording.valueOf(x!), recording.valueOf(gamma!), attributes),
      x!.shape,
    ),
  ),
  PeftActivation: recorder<'PeftActivation'>((recording, { x }, { kind }) =>
    recording.tensor(activated(recording.graph, kind, recording.valueOf(x!)), x!.shape),
  ),
  PeftGatedActivation: recorder<'PeftGatedActivation'>((recording, { gate, up }, { kind }) => {
    const { graph } = recording;
    const opened = activated(graph, kind, recording.valueOf(gate!));
    return recording.tensor(graph.node('Mul', [opened, recording.valueOf(up!)]), up!.shape);
  }),
  PeftGatherRows: recorder<'PeftGatherRows'>((recording, { x }, { rows }) =>
    recording.gather(x!, rows),
  ),
  PeftRope: rope,
});
