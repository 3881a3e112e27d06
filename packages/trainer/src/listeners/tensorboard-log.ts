/**
 * A TensorBoard event file of a run's numbers (scalars only).
 *
 * The file is a row of records: length (uint64), masked CRC-32C of it, bytes, masked CRC-32C of
 * them. A record holds an `Event` protocol buffer: wall_time = 1 (double), step = 2 (int64),
 * file_version = 3 (string) or summary = 5 with its value = 1 { tag = 1, simple_value = 2 }.
 */
import { appendFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { TrainEvent } from '@peft/core';
import { maskedCrc32c } from './crc32c.js';
import { scalarsOf } from './event-scalars.js';

/**
 * A sink that writes `events.out.tfevents.…` into a folder: `train/loss`, `train/learning_rate`,
 * `train/gradient_norm`, `train/tokens_per_second` by step, and `validation/<metric>`. Give it to
 * `bus.listen`; look at it with `tensorboard --logdir`.
 */
export function createTensorBoardLog(folder: string): (event: TrainEvent) => void {
  let path: string | undefined;
  const begin = (atMs: number): string => {
    mkdirSync(folder, { recursive: true });
    const file = join(folder, `events.out.tfevents.${Math.floor(atMs / 1000)}.peft.${process.pid}`);
    appendFileSync(file, record(versionEvent(atMs)));
    return file;
  };
  return (event) => {
    const scalars = scalarsOf(event);
    if (!scalars) return;
    path ??= begin(event.atMs);
    appendFileSync(path, record(scalarEvent(event.atMs, scalars.step, scalars.values)));
  };
}

/** A record of the file. */
export function record(data: Uint8Array): Uint8Array {
  const bytes = Buffer.alloc(8 + 4 + data.length + 4);
  bytes.writeBigUInt64LE(BigInt(data.length), 0);
  bytes.writeUInt32LE(maskedCrc32c(bytes.subarray(0, 8)), 8);
  bytes.set(data, 12);
  bytes.writeUInt32LE(maskedCrc32c(data), 12 + data.length);
  return bytes;
}

const versionEvent = (atMs: number): Buffer =>
  Buffer.concat([double(1, atMs / 1000), text(3, 'brain.Event:2')]);

const scalarEvent = (
  atMs: number,
  step: number,
  values: readonly (readonly [string, number])[],
): Buffer =>
  Buffer.concat([
    double(1, atMs / 1000),
    integer(2, step),
    message(
      5,
      Buffer.concat(
        values.map(([tag, value]) => message(1, Buffer.concat([text(1, tag), float(2, value)]))),
      ),
    ),
  ]);

// Fields of protocol buffers: a key of number and wire type, then the value.
const double = (field: number, value: number): Buffer => {
  const bytes = Buffer.alloc(9);
  bytes[0] = (field << 3) | 1;
  bytes.writeDoubleLE(value, 1);
  return bytes;
};
const float = (field: number, value: number): Buffer => {
  const bytes = Buffer.alloc(5);
  bytes[0] = (field << 3) | 5;
  bytes.writeFloatLE(value, 1);
  return bytes;
};
const integer = (field: number, value: number): Buffer =>
  Buffer.concat([Buffer.of(field << 3), variableLength(value)]);
const message = (field: number, bytes: Buffer): Buffer =>
  Buffer.concat([Buffer.of((field << 3) | 2), variableLength(bytes.length), bytes]);
const text = (field: number, value: string): Buffer => message(field, Buffer.from(value, 'utf8'));

/** Seven bits a byte, lowest first. @param value a non-negative safe integer. */
function variableLength(value: number): Buffer {
  const bytes: number[] = [];
  for (let rest = BigInt(value); bytes.length === 0 || rest > 0n; rest >>= 7n)
    bytes.push(Number(rest & 0x7fn) | (rest >> 7n > 0n ? 0x80 : 0));
  return Buffer.from(bytes);
}
