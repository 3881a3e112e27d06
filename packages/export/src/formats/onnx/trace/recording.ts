/** A forward pass while it is recorded: which value of the graph a tensor stands for. */
import { createHash } from 'node:crypto';
import type { DataType, TensorInfo } from '@tensorflow/tfjs';
import type { AttentionSite, ModelDescription } from '@peft/core';
import type { OnnxGraph, Port } from '../graph/onnx-graph.js';
import type { WeightForm } from '../weights/weight-form.js';
import { cannotRecord } from './cannot-record.js';
import { repeatedNumber } from './repeated-number.js';
import type { Rows, TraceBatch } from './trace-batch.js';

type Values = Float32Array | Int32Array | Uint8Array;

/** A value of the graph, or numbers that become a constant of it where they are used. */
type Entry = { readonly value: string } | { readonly values: Values };

/** The end of an axis, for slices. */
const END = Number.MAX_SAFE_INTEGER;

/**
 * What of a model a graph is: all of it without a cache or with one, or of an encoder-decoder one of
 * the two.
 */
export type GraphPart = 'texts' | 'decoder' | 'encoder' | 'paired-decoder';

export class Recording {
  readonly #entries = new WeakMap<TensorInfo['dataId'], Entry>();
  #constants = 0;
  /** Attention layers met so far, to the tokens themselves and to what an encoder made. */
  readonly #layers = { own: 0, memory: 0 };

  constructor(
    readonly graph: OnnxGraph,
    readonly trace: TraceBatch,
    readonly weights: WeightForm,
    readonly part: GraphPart,
    readonly description: ModelDescription,
  ) {}

  /** Keys and values of earlier tokens go in and out. */
  get hasCache(): boolean {
    return this.part === 'decoder' || this.part === 'paired-decoder';
  }

  /** A tensor that stands for a value of the graph. */
  tensor(value: string, shape: readonly number[], dtype: DataType = 'float32'): TensorInfo {
    const dataId = {};
    this.#entries.set(dataId, { value });
    return { dataId, shape: [...shape], dtype };
  }

  /** Tells the numbers of a tensor. */
  hold(dataId: object, values: Values): void {
    this.#entries.set(dataId, { values });
  }

  /** The numbers of a tensor, where they do not depend on the texts. */
  knownValues(dataId: object): Values | undefined {
    const entry = this.#entries.get(dataId);
    return entry && 'values' in entry ? entry.values : undefined;
  }

  /** The same. @throws CannotRecord for what depends on the texts */
  valuesOf(dataId: object): Values {
    const values = this.knownValues(dataId);
    if (!values) throw cannotRecord('its forward pass looks at results on its way');
    return values;
  }

  /** The value that a tensor stands for. */
  valueOf({ dataId, shape }: TensorInfo): string {
    const entry = this.#entries.get(dataId);
    if (!entry) throw cannotRecord('it reads a result that ONNX has no operator for');
    if ('value' in entry) return entry.value;
    if (shape.some((size) => this.trace.isOpen(size) && size > 1))
      return repeatedNumber(this, entry.values, shape);
    const values = Float32Array.from(entry.values);
    const value =
      shape.length === 0
        ? this.graph.float(values[0]!)
        : this.graph.floats(`constant_${(this.#constants += 1)}`, values, shape);
    this.#entries.set(dataId, { value });
    return value;
  }

  /** The first rows of a table of numbers. */
  tableOf({ dataId, shape: [rows = 0, width = 0] }: TensorInfo, limit: number): string {
    const values = Float32Array.from(this.valuesOf(dataId));
    const kept = Math.min(rows, limit);
    const name = `table_${createHash('sha256').update(values).digest('hex').slice(0, 16)}`;
    return this.graph.floats(name, values.subarray(0, kept * width), [kept, width]);
  }

  /** A result that the graph does not make. */
  unknown(shape: readonly number[]): TensorInfo {
    return { dataId: {}, shape: [...shape], dtype: 'float32' };
  }

  get ids(): string {
    return this.graph.input({
      name: 'input_ids',
      type: 'int64',
      shape: ['batch_size', 'sequence_length'],
    });
  }

  /** 1 for tokens, 0 for padding; with a cache of all tokens so far `[B, P + T]`. */
  get mask(): string {
    if (this.part === 'paired-decoder') return this.#allTokens;
    const axis = this.hasCache ? 'total_sequence_length' : 'sequence_length';
    return this.graph.input({ name: 'attention_mask', type: 'int64', shape: ['batch_size', axis] });
  }

  /** The texts of an encoder-decoder are written from their start, without padding: all ones. */
  get #allTokens(): string {
    const { graph } = this;
    const length = graph.node('Add', [this.#pastLength('own'), this.queryLength]);
    return graph.node('Expand', [
      graph.integers([1]),
      graph.node('Concat', [this.batchSize, length], { axis: 0 }),
    ]);
  }

  /** What is padding of the texts that the encoder read `[B, S]`. */
  get memoryMask(): string {
    return this.graph.input({
      name: 'encoder_attention_mask',
      type: 'int64',
      shape: ['batch_size', 'encoder_sequence_length'],
    });
  }

  /** What the encoder made, as rows; none once its keys and values are in the cache. */
  memory(): TensorInfo {
    const { graph, trace, description } = this;
    const states = graph.input({
      name: 'encoder_hidden_states',
      type: 'float32',
      shape: ['batch_size', 'encoder_sequence_length', description.hiddenSize],
    });
    const isFirst = graph.node('Equal', [this.#pastLength('memory'), graph.integers([0])]);
    const length = this.#slice(graph.node('Shape', [states]), 0, 1, 2);
    const needed = graph.node('Slice', [
      states,
      graph.integers([0]),
      graph.node('Mul', [length, graph.cast(isFirst, 'int64')]),
      graph.integers([1]),
    ]);
    const rows = this.reshape(needed, [-1, description.hiddenSize]);
    return this.tensor(graph.floatType === 'float32' ? rows : graph.cast(rows, graph.floatType), [
      trace.memoryOffsets.at(-1)!,
      description.hiddenSize,
    ]);
  }

  /**
   * Keys and values `[B, H, T, E]` of the next layer with those of earlier runs in front, which go
   * out, too.
   */
  withPast(own: readonly [string, string], of: 'own' | 'memory'): [string, string] {
    const layer = this.#layers[of];
    this.#layers[of] += 1;
    return (['key', 'value'] as const).map((which, i) => {
      const past = this.graph.input(this.#cachePort('past_key_values', layer, of, which));
      const all = this.graph.node('Concat', [past, own[i]!], { axis: 2 });
      this.graph.output(all, this.#cachePort('present', layer, of, which));
      return all;
    }) as [string, string];
  }

  /** Tokens in the cache, as a list of one number. */
  #pastLength(of: 'own' | 'memory'): string {
    const past = this.graph.input(this.#cachePort('past_key_values', 0, of, 'key'));
    return this.#slice(this.graph.node('Shape', [past]), 0, 2, 3);
  }

  #cachePort(
    name: 'past_key_values' | 'present',
    layer: number,
    of: 'own' | 'memory',
    which: 'key' | 'value',
  ): Port {
    const stack = of === 'own' ? 'decoder' : 'cross';
    const site = this.description.sites.find(
      (each) => each.kind === 'attention' && each.stack === stack,
    ) as AttentionSite;
    const side = { own: 'decoder', memory: 'encoder' }[of];
    const time = name === 'present' ? 'total' : 'past';
    const isPaired = this.part === 'paired-decoder';
    return {
      name: `${name}.${layer}${isPaired ? `.${side}` : ''}.${which}`,
      type: this.graph.floatType,
      shape: [
        'batch_size',
        site.keyValueHeads,
        `${time}${isPaired ? `_${side}` : ''}_sequence_length`,
        site.headSize,
      ],
    };
  }

  /** `[B, T]` */
  get #size(): string {
    return this.graph.node('Shape', [this.ids]);
  }

  /** `[B]`, as a list of one number. */
  get batchSize(): string {
    return this.#slice(this.#size, 0, 0, 1);
  }

  /** `[T]`, as a list of one number. */
  get queryLength(): string {
    return this.#slice(this.#size, 0, 1, 2);
  }

  /** `[L]`, all tokens of a text so far. */
  get keyLength(): string {
    return this.#slice(this.graph.node('Shape', [this.mask]), 0, 1, 2);
  }

  /** A shape that begins with B and T. */
  perToken(...rest: readonly number[]): string {
    return this.graph.node('Concat', [this.#size, this.graph.integers(rest)], { axis: 0 });
  }

  /** A shape that begins with B. */
  perText(...rest: readonly number[]): string {
    return this.graph.node('Concat', [this.batchSize, this.graph.integers(rest)], { axis: 0 });
  }

  reshape(value: string, shape: string | readonly number[]): string {
    return this.graph.node('Reshape', [
      value,
      typeof shape === 'string' ? shape : this.graph.integers(shape),
    ]);
  }

  transpose(value: string, order: readonly number[]): string {
    return this.graph.node('Transpose', [value], { perm: order });
  }

  unsqueeze(value: string, ...axes: readonly number[]): string {
    return this.graph.node('Unsqueeze', [value, this.graph.integers(axes)]);
  }

  /** Rows of a tensor that the recorded pass picks with these numbers. */
  gather(x: TensorInfo, index: Int32Array): TensorInfo {
    const width = x.shape[1]!;
    const rows = this.trace.rowsOf(index);
    const shape = [index.length, width];
    const value = this.valueOf(x);
    switch (rows.kind) {
      case 'first':
      case 'last':
      case 'last-unpadded':
        return this.tensor(this.#rowOfEach(value, width, rows.kind), shape);
      case 'kept':
        return this.tensor(this.#keptRows(value, width), shape);
      default:
        return this.tensor(this.graph.node('Gather', [value, this.indexOf(rows)]), shape);
    }
  }

  /** Numbers of rows as a value `[N]`. */
  indexOf(rows: Rows): string {
    switch (rows.kind) {
      case 'tokens':
        return this.reshape(this.ids, [-1]);
      case 'token-types':
        return this.reshape(
          this.graph.input({
            name: 'token_type_ids',
            type: 'int64',
            shape: ['batch_size', 'sequence_length'],
          }),
          [-1],
        );
      case 'zeros': {
        const ids = this.reshape(this.ids, [-1]);
        return this.graph.node('Sub', [ids, ids]);
      }
      case 'positions':
        return this.#placesOf(this.mask, -1 + rows.shift, rows.shift);
      case 'counted': {
        const counted = this.graph.cast(this.#isUnpadded(), 'int64');
        const count = this.graph.node('CumSum', [counted, this.graph.integers([1], [])]);
        const whole = this.hasCache
          ? this.graph.node('Add', [count, this.#pastLength('own')])
          : count;
        return this.#shifted(
          this.reshape(this.graph.node('Mul', [whole, counted]), [-1]),
          rows.shift,
        );
      }
      case 'constant':
        return this.graph.integers([...rows.values]);
      default:
        throw cannotRecord(`it reads a table at the ${rows.kind} rows`);
    }
  }

  /** Number of each token among the tokens of its text, padding in front at the first. */
  #placesOf(mask: string, shift: number, least: number): string {
    const { graph } = this;
    const counts = graph.node('CumSum', [mask, graph.integers([1], [])]);
    const own = this.hasCache
      ? graph.node('Slice', [
          counts,
          graph.node('Neg', [this.queryLength]),
          graph.integers([END]),
          graph.integers([1]),
        ])
      : counts;
    const places = this.#shifted(this.reshape(own, [-1]), shift);
    return graph.node('Max', [places, graph.integers([least], [])]);
  }

  #shifted(value: string, by: number): string {
    return by === 0 ? value : this.graph.node('Add', [value, this.graph.integers([by], [])]);
  }

  /** Whether an id is neither masked nor that of padding `[B, T]`. */
  #isUnpadded(): string {
    const { graph, trace } = this;
    const id = graph.integers([trace.paddingId ?? -1], []);
    const isText = graph.node('Not', [graph.node('Equal', [this.ids, id])]);
    return this.hasCache ? isText : graph.node('And', [graph.cast(this.mask, 'bool'), isText]);
  }

  /** The mean of each text's tokens `[B, D]`. x `[N, D]` */
  meanOf(x: TensorInfo): TensorInfo {
    const { graph } = this;
    const width = x.shape[1]!;
    const axis = graph.integers([1]);
    const isToken = this.unsqueeze(graph.cast(this.mask, graph.floatType), 2); // [B, T, 1]
    const texts = this.reshape(this.valueOf(x), this.perToken(width));
    const sum = (value: string) => graph.node('ReduceSum', [value, axis], { keepdims: 0 });
    const mean = graph.node('Div', [sum(graph.node('Mul', [texts, isToken])), sum(isToken)]);
    return this.tensor(mean, [this.trace.sequences, width]);
  }

  /** One row of each text `[B, D]`. */
  #rowOfEach(x: string, width: number, kind: 'first' | 'last' | 'last-unpadded'): string {
    const { graph } = this;
    const texts = this.reshape(x, this.perToken(width));
    if (kind === 'first')
      return graph.node('Gather', [texts, graph.integers([0], [])], { axis: 1 });
    const counts = kind === 'last' ? graph.cast(this.mask, 'bool') : this.#isUnpadded();
    const numbers = graph.node('Range', [
      graph.integers([0], []),
      this.#scalar(this.queryLength),
      graph.integers([1], []),
    ]);
    const place = graph.node(
      'ArgMax',
      [graph.node('Mul', [numbers, graph.cast(counts, 'int64')])],
      {
        axis: 1,
        keepdims: 1,
      },
    );
    const picked = graph.node(
      'GatherElements',
      [texts, graph.node('Expand', [this.unsqueeze(place, 2), this.perText(1, width)])],
      { axis: 1 },
    );
    return this.reshape(picked, [-1, width]);
  }

  /** The last rows of each text, as many as the caller asks for; 0: all. */
  #keptRows(x: string, width: number): string {
    const { graph } = this;
    const count = graph.input({ name: 'num_logits_to_keep', type: 'int64', shape: [] });
    const kept = graph.node('Slice', [
      this.reshape(x, this.perToken(width)),
      graph.node('Neg', [this.reshape(count, [1])]),
      graph.integers([END]),
      graph.integers([1]),
    ]);
    return this.reshape(kept, [-1, width]);
  }

  #slice(value: string, axis: number, start: number, end: number): string {
    const { graph } = this;
    return graph.node('Slice', [
      value,
      graph.integers([start]),
      graph.integers([end]),
      graph.integers([axis]),
    ]);
  }

  #scalar(value: string): string {
    return this.graph.node('Squeeze', [value]);
  }
}
