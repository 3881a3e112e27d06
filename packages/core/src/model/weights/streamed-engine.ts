/**
 * Weights that stay where they are stored: each use reads what it needs of one, some rows at a time,
 * and lets it go. A model of such weights takes the memory of its largest piece, and each pass over
 * it reads the file: for exports, which read every weight a few times.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs';
import { PeftError } from '@peft/errors';
import type { Engine, FreezeOptions, FrozenWeight, TensorSource, WeightFormat } from '@peft/ops';
import { WrappingEngine } from './wrapping-engine.js';

/** Some megabytes: what was read is still in the processor's cache when it is used. */
const MOST = 2 ** 21;

/**
 * An engine whose weights are read when they are used. Those that are converted, or quantised
 * already, are held by the engine itself.
 * @param most values that are read at a time, unless one row has more
 */
export const streamedEngine = (engine: Engine, most = MOST): Engine =>
  new StreamedEngine(engine, most);

class StreamedWeight implements FrozenWeight {
  /** Nothing is held. */
  readonly byteLength = 0;
  readonly format: WeightFormat;
  readonly name: string;
  readonly shape: readonly [number, number];
  isDisposed = false;

  constructor(
    readonly engine: Engine,
    readonly source: TensorSource,
    readonly isTransposed: boolean,
  ) {
    const [first = 0, second = 0] = source.shape;
    this.name = source.name;
    this.shape = isTransposed ? [second, first] : [first, second];
    this.format = FORMATS[source.dtype] ?? 'f32';
  }

  dispose(): void {
    this.isDisposed = true;
  }
}

const FORMATS: Partial<Record<string, WeightFormat>> = { F16: 'f16', BF16: 'bf16' };

class StreamedEngine extends WrappingEngine {
  constructor(
    engine: Engine,
    private readonly most: number,
  ) {
    super(engine);
  }

  override freeze(source: TensorSource, options: FreezeOptions = {}): FrozenWeight {
    return options.format === undefined && source.shape.length === 2
      ? new StreamedWeight(this, source, options.transposed ?? false)
      : super.freeze(source, options);
  }

  linear(x: Tensor2D, weight: FrozenWeight, bias?: Tensor1D): Tensor2D {
    const own = this.#own(weight);
    return tf.tidy(() =>
      joined(
        [...piecesOf(own, this.most)].map(([first, rows]) =>
          this.#use(own, first, rows, (piece) =>
            this.engine.linear(x, piece, bias && tf.slice1d(bias, first, rows)),
          ),
        ),
        1,
      ),
    );
  }

  linearInputGradient(dy: Tensor2D, weight: FrozenWeight): Tensor2D {
    const own = this.#own(weight);
    return this.#use(own, 0, own.shape[0], (whole) => this.engine.linearInputGradient(dy, whole));
  }

  /** Rows that follow each other are read at once. */
  gather(weight: FrozenWeight, ids: Int32Array): Tensor2D {
    const own = this.#own(weight);
    const isOutside = ids.some((id) => id < 0 || id >= own.shape[0]);
    // the engine says which id is outside
    if (own.isTransposed || isOutside || ids.length === 0)
      return this.#use(own, 0, own.shape[0], (whole) => this.engine.gather(whole, ids));
    return tf.tidy(() =>
      joined(
        runsOf(ids).map(([first, rows]) =>
          this.#use(own, first, rows, (piece) => this.engine.dequantize(piece) as Tensor2D),
        ),
        0,
      ),
    );
  }

  dequantize(weight: FrozenWeight): Tensor {
    const own = this.#own(weight);
    return this.#use(own, 0, own.shape[0], (whole) => this.engine.dequantize(whole));
  }

  dispose(): void {
    this.engine.dispose();
  }

  #use<T>(
    { source, isTransposed, shape }: StreamedWeight,
    first: number,
    rows: number,
    use: (piece: FrozenWeight) => T,
  ): T {
    const isWhole = rows === shape[0];
    const piece = this.engine.freeze(isWhole ? source : rowsOf(source, first, rows), {
      transposed: isTransposed,
    });
    try {
      return use(piece);
    } finally {
      piece.dispose();
    }
  }

  #own(weight: FrozenWeight): StreamedWeight {
    if (weight instanceof StreamedWeight && weight.engine === this && !weight.isDisposed)
      return weight;
    throw new PeftError(
      weight.isDisposed ? 'PEFT_WEIGHT_DISPOSED' : 'PEFT_WEIGHT_ENGINE',
      weight.isDisposed
        ? `${weight.name}: the weight was disposed of.`
        : `${weight.name}: the weight belongs to another engine.`,
    );
  }
}

/** First row and number of rows of each piece; one of a weight whose rows are no runs of bytes. */
function* piecesOf(
  { shape: [rows, columns], isTransposed }: StreamedWeight,
  most: number,
): Generator<[number, number]> {
  const atATime = isTransposed ? rows : Math.max(1, Math.floor(most / Math.max(columns, 1)));
  for (let first = 0; first < rows; first += atATime)
    yield [first, Math.min(atATime, rows - first)];
}

/** First id and length of each run of ids that follow each other. */
function runsOf(ids: Int32Array): [number, number][] {
  const runs: [number, number][] = [];
  for (const id of ids) {
    const last = runs.at(-1);
    if (last && last[0] + last[1] === id) last[1] += 1;
    else runs.push([id, 1]);
  }
  return runs;
}

/** Some rows of a stored matrix. */
function rowsOf(source: TensorSource, first: number, rows: number): TensorSource {
  const [count, columns] = source.shape as [number, number];
  const rowBytes = source.byteLength / count;
  const start = first * rowBytes;
  const byteLength = rows * rowBytes;
  const { file, blocks } = source;
  return {
    name: source.name,
    dtype: source.dtype,
    shape: [rows, columns],
    byteLength,
    file: file && { path: file.path, byteOffset: file.byteOffset + start },
    blocks: blocks && {
      type: blocks.type,
      read: (row = 0, length = rows - row) => blocks.read(first + row, length),
    },
    read: (offset = 0, length = byteLength - offset) => source.read(start + offset, length),
  };
}

const joined = (pieces: Tensor2D[], axis: 0 | 1): Tensor2D =>
  pieces.length === 1 ? pieces[0]! : tf.concat2d(pieces, axis);
