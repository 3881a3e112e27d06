/**
 * A graph of ONNX operators while it is put together. Every operator here is a function of its
 * inputs, so that the same one on the same inputs is made once, and what no output needs is left
 * out in the end.
 */
import { createHash } from 'node:crypto';
import { encodeFloat16 } from '@peft/ops';
import { requireFloat16 } from '../../../model/float16-range.js';

/** Element types, as `onnx.proto3` numbers them. */
export const ELEMENT_TYPES = Object.freeze({
  float32: 1,
  uint8: 2,
  int64: 7,
  bool: 9,
  float16: 10,
} as const);
export type ElementType = keyof typeof ELEMENT_TYPES;

/** Type of the numbers that the graph computes with. */
export type FloatType = 'float32' | 'float16';

/** A whole number, a fraction (`{ float }`), a text or a list of whole numbers. */
export type Attribute = number | { readonly float: number } | string | readonly number[];

export interface OnnxNode {
  readonly operator: string;
  /** Empty: ONNX's own. */
  readonly domain: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: Readonly<Record<string, Attribute>>;
}

/** Values that lie in the file. */
export interface Initializer {
  readonly name: string;
  readonly type: ElementType;
  readonly shape: readonly number[];
  readonly byteLength: number;
  /** Made when it is written. */
  bytes(): Uint8Array;
}

/** An input or output; an axis that the caller chooses has a name instead of a size. */
export interface Port {
  readonly name: string;
  readonly type: ElementType;
  readonly shape: readonly (number | string)[];
}

export interface FinishedGraph {
  readonly nodes: readonly OnnxNode[];
  readonly initializers: readonly Initializer[];
  readonly inputs: readonly Port[];
  readonly outputs: readonly Port[];
}

/** Operators of ONNX Runtime beside those of ONNX. */
export const MICROSOFT_DOMAIN = 'com.microsoft';

export class OnnxGraph {
  readonly #nodes: OnnxNode[] = [];
  readonly #known = new Map<string, readonly string[]>();
  readonly #initializers = new Map<string, Initializer>();
  readonly #inputs = new Map<string, Port>();
  readonly #outputs: Port[] = [];

  /** @param floatType of activations, constants and weights that are not stored in fewer bits. */
  constructor(readonly floatType: FloatType) {}

  /** The one result of an operator. */
  node(
    operator: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, Attribute>> = {},
    domain = '',
  ): string {
    return this.nodes(operator, inputs, 1, attributes, domain)[0]!;
  }

  /** The results of an operator. @param inputs an empty name stands for one that is left out. */
  nodes(
    operator: string,
    inputs: readonly string[],
    count: number,
    attributes: Readonly<Record<string, Attribute>> = {},
    domain = '',
  ): readonly string[] {
    const key = JSON.stringify([operator, domain, inputs, attributes, count]);
    const known = this.#known.get(key);
    if (known) return known;
    const outputs = Array.from(
      { length: count },
      (_, i) => `${operator}_${this.#nodes.length}${count > 1 ? `_${i}` : ''}`,
    );
    this.#nodes.push({ operator, domain, inputs, outputs, attributes });
    this.#known.set(key, outputs);
    return outputs;
  }

  /** An input, the first time it is asked for. */
  input(port: Port): string {
    if (!this.#inputs.has(port.name)) this.#inputs.set(port.name, port);
    return port.name;
  }

  /** Gives a value the name of an output. */
  output(value: string, port: Port): void {
    this.#nodes.push({
      operator: 'Identity',
      domain: '',
      inputs: [value],
      outputs: [port.name],
      attributes: {},
    });
    this.#outputs.push(port);
  }

  /** Values of the file, the first time their name is met. */
  initializer(made: Initializer): string {
    if (!this.#initializers.has(made.name)) this.#initializers.set(made.name, made);
    return made.name;
  }

  /** A small constant of whole numbers. */
  integers(values: readonly number[], shape: readonly number[] = [values.length]): string {
    return this.initializer({
      name: `int_${shape.join('x')}_${values.length > 16 ? digest(values) : values.join('_')}`,
      type: 'int64',
      shape,
      byteLength: 8 * values.length,
      bytes: () => bytesOf(BigInt64Array.from(values, BigInt)),
    });
  }

  /** A number. @param type where it is not the graph's */
  float(value: number, type: FloatType = this.floatType): string {
    return this.initializer(
      floatInitializer(`${type}_${value}`, [], type, () => Float32Array.of(value)),
    );
  }

  /** Constant numbers in the graph's type. */
  floats(name: string, values: Float32Array, shape: readonly number[]): string {
    return this.initializer(floatInitializer(name, shape, this.floatType, () => values));
  }

  /** In another type. */
  cast(value: string, to: ElementType): string {
    return this.node('Cast', [value], { to: ELEMENT_TYPES[to] });
  }

  /** What the outputs need. */
  finish(): FinishedGraph {
    const needed = new Set(this.#outputs.map(({ name }) => name));
    const nodes: OnnxNode[] = [];
    for (const node of this.#nodes.toReversed()) {
      if (!node.outputs.some((output) => needed.has(output))) continue;
      for (const input of node.inputs) needed.add(input);
      nodes.push(node);
    }
    return {
      nodes: nodes.reverse(),
      initializers: [...this.#initializers.values()].filter(({ name }) => needed.has(name)),
      inputs: [...this.#inputs.values()].filter(({ name }) => needed.has(name)),
      outputs: this.#outputs,
    };
  }
}

/** Numbers of the file in one of the float types. Its bytes throw PEFT_EXPORT_RANGE. */
export const floatInitializer = (
  name: string,
  shape: readonly number[],
  type: FloatType,
  values: () => Float32Array,
): Initializer => ({
  name,
  type,
  shape,
  byteLength: shape.reduce((product, size) => product * size, type === 'float16' ? 2 : 4),
  bytes() {
    const made = values();
    if (type === 'float32') return bytesOf(made);
    requireFloat16(name, made);
    return bytesOf(encodeFloat16(made));
  },
});

export const bytesOf = ({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength);

/** A short name for many numbers. */
const digest = (values: readonly number[]): string =>
  createHash('sha256')
    .update(bytesOf(Float64Array.from(values)))
    .digest('hex')
    .slice(0, 16);
