/**
 * What goes between a stage and its neighbours: states `[N, D]` forwards, their gradients backwards,
 * as float32 or rounded to bfloat16.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import { decodeFloat32, encodeBfloat16, freezeTensor, isFrozenTensor, readValues } from '@peft/ops';
import type { ModelBatch, Stage } from '@peft/core';
import { PeftError } from '@peft/errors';
import { rankPlace, requireRanks } from './place.js';

/** The batch whose state travels, by its layout. */
type Layout = Pick<ModelBatch, 'inputIds' | 'offsets'>;

/** Between the neighbours of one replica; each rank makes one at the same time. */
export interface StageLink {
  readonly isFirst: boolean;
  readonly isLast: boolean;
  /**
   * The state that this stage begins with, which the caller disposes; undefined on the first one. It
   * is frozen where nothing in front of it trains.
   */
  receiveState(batch: Layout): Promise<Tensor2D | undefined>;
  /** Begins to send; the tensor may be disposed at once. */
  sendState(batch: Layout, state: Tensor2D): void;
  /**
   * The gradient of a state that was sent, which the caller disposes; undefined on the last stage,
   * and where nobody wants one.
   */
  receiveGradient(batch: Layout): Promise<Tensor2D | undefined>;
  /** Begins to send the gradient of a state that was received, zeros where there is none. */
  sendGradient(state: Tensor2D, gradient: Tensor2D | undefined): void;
  /** Resolves when all that was sent has gone. */
  sent(): Promise<void>;
}

type Numbers = Int32Array | Float32Array | Uint8Array;

/** What states of a run have in common, which the first of them is preceded by. */
interface StateForm {
  /** Rows in front of each sequence that are no tokens of it. */
  readonly extra: number;
  readonly width: number;
  readonly isFrozen: boolean;
}

export function stageLink({ ranks }: Stage): StageLink {
  const { collective, bits } = requireRanks(ranks);
  const { stage, stages } = rankPlace(requireRanks(ranks));
  const [isFirst, isLast] = [stage === 0, stage === stages - 1];
  const [previous, next] = [collective.rank - 1, collective.rank + 1];
  let sending: Promise<void>[] = [];
  /** Resolves when all sends before have begun: they begin in the order of the calls. */
  let begun: Promise<unknown> = Promise.resolve();
  let received: StateForm | undefined;
  let sent: StateForm | undefined;

  /** As soon as the values have been read. */
  const send = (reading: Promise<Numbers>, to: number): void => {
    const turn = Promise.all([reading, begun]);
    const sentOff = turn.then(([values]) => collective.send(values, to));
    // they are waited for in `sent`; a failure before is no unheard one
    for (const each of [turn, sentOff]) each.catch(() => undefined);
    begun = turn;
    sending.push(sentOff);
  };
  const encoded = (values: Float32Array): Float32Array | Uint8Array =>
    bits === 32 ? values.slice() : new Uint8Array(encodeBfloat16(values).buffer);
  const read = async (tensor: Tensor2D): Promise<Numbers> => encoded(await readValues(tensor));
  const receive = async (shape: [number, number], from: number): Promise<Tensor2D> => {
    const count = shape[0] * shape[1];
    const values = bits === 32 ? new Float32Array(count) : new Uint8Array(2 * count);
    await collective.receive(values, from);
    return tf.tensor2d(
      values instanceof Float32Array ? values : Float32Array.from(decodeFloat32(values, 'BF16')),
      shape,
      'float32',
    );
  };
  return {
    isFirst,
    isLast,
    async receiveState(batch) {
      if (isFirst) return undefined;
      if (!received) {
        const form = new Int32Array(3);
        await collective.receive(form, previous);
        received = { extra: form[0]!, width: form[1]!, isFrozen: form[2] === 1 };
      }
      const state = await receive([rowsOf(batch, received), received.width], previous);
      return received.isFrozen ? freezeTensor(state) : state;
    },
    sendState(batch, state) {
      const [rows, width] = state.shape;
      if (!sent) {
        const sequences = batch.offsets.length - 1;
        sent = {
          extra: sequences === 0 ? 0 : (rows - batch.inputIds.length) / sequences,
          width,
          isFrozen: isFrozenTensor(state),
        };
        send(Promise.resolve(Int32Array.of(sent.extra, width, sent.isFrozen ? 1 : 0)), next);
      }
      if (rows !== rowsOf(batch, sent) || width !== sent.width)
        throw new PeftError(
          'PEFT_STAGE_INPUT',
          `trainer: a state of [${rows}, ${width}] is of another form than the first of this run.`,
          { hint: 'an adapter puts other numbers of rows in front of sequences' },
        );
      send(read(state), next); // it goes to another process
    },
    async receiveGradient(batch) {
      if (isLast || sent?.isFrozen) return undefined;
      return receive([rowsOf(batch, sent!), sent!.width], next);
    },
    sendGradient(state, gradient) {
      if (isFrozenTensor(state)) return;
      const zeros = (): Promise<Numbers> => Promise.resolve(encoded(new Float32Array(state.size)));
      send(gradient ? read(gradient) : zeros(), previous);
    },
    async sent() {
      const all = sending;
      sending = [];
      await Promise.all(all);
    },
  };
}

const rowsOf = ({ inputIds, offsets }: Layout, { extra }: StateForm): number =>
  inputIds.length + extra * (offsets.length - 1);
