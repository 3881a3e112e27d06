import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createTrainEventBus, type TrainEvent } from '@peft/core';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { maskedCrc32c } from './crc32c.js';
import { createJsonlLog } from './jsonl-log.js';
import { createTensorBoardLog } from './tensorboard-log.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'peft-listeners-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const step = (number: number, loss: number): TrainEvent => ({
  type: 'step/completed',
  runId: 'run',
  atMs: 1700000000500,
  step: number,
  epoch: 0,
  loss,
  learningRate: 0.003,
  gradientNorm: 1.5,
  tokens: 300,
  examples: 4,
  durationMs: 100,
});

describe('the JSONL log', () => {
  it('writes each event as a line and makes its folder', () => {
    const path = join(folder, 'logs', 'events.jsonl');
    const bus = createTrainEventBus();
    bus.listen(createJsonlLog(path));
    bus.emit(step(1, 0.5));
    bus.emit(step(2, Number.NaN));
    const lines = readFileSync(path, 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(lines).toEqual([step(1, 0.5), { ...step(2, 0), loss: null }]);
  });

  it('is appended to by the next run', () => {
    const path = join(folder, 'events.jsonl');
    createJsonlLog(path)(step(1, 1));
    createJsonlLog(path)(step(2, 1));
    expect(readFileSync(path, 'utf8').match(/\n/g)).toHaveLength(2);
  });
});

describe('the TensorBoard log', () => {
  it('writes records whose checksums and fields are right', () => {
    const log = createTensorBoardLog(folder);
    log({ type: 'run/warned', runId: 'run', atMs: 1, code: 'X', message: 'no numbers' });
    log(step(300, 0.25));
    log({
      type: 'evaluation/completed',
      runId: 'run',
      atMs: 1700000001000,
      step: 300,
      epoch: 0,
      metrics: { roc_auc: 0.75 },
      examples: 40,
      durationMs: 5,
      isBest: true,
    });
    const [name] = readdirSync(folder);
    expect(name).toMatch(/^events\.out\.tfevents\.1700000000\.peft\.\d+$/);
    const events = readRecords(readFileSync(join(folder, name!)));
    expect(events).toEqual([
      { wallTime: 1700000000.5, version: 'brain.Event:2', values: {} },
      {
        wallTime: 1700000000.5,
        step: 300,
        values: {
          'train/loss': 0.25,
          'train/learning_rate': Math.fround(0.003),
          'train/gradient_norm': 1.5,
          'train/tokens_per_second': 3000,
        },
      },
      { wallTime: 1700000001, step: 300, values: { 'validation/roc_auc': 0.75 } },
    ]);
  });
});

/** A reader written from the format's description, apart from the writer. */
function readRecords(file: Buffer): unknown[] {
  const events: unknown[] = [];
  for (let at = 0; at < file.length;) {
    const length = Number(file.readBigUInt64LE(at));
    expect(file.readUInt32LE(at + 8)).toBe(maskedCrc32c(file.subarray(at, at + 8)));
    const data = file.subarray(at + 12, at + 12 + length);
    expect(file.readUInt32LE(at + 12 + length)).toBe(maskedCrc32c(data));
    const event: {
      wallTime?: number;
      step?: number;
      version?: string;
      values: Record<string, number>;
    } = { values: {} };
    for (const [field, value] of fieldsOf(data)) {
      if (field === 1) event.wallTime = (value as Buffer).readDoubleLE(0);
      if (field === 2) event.step = value as number;
      if (field === 3) event.version = (value as Buffer).toString();
      if (field === 5) {
        for (const [, entry] of fieldsOf(value as Buffer)) {
          const parts = new Map(fieldsOf(entry as Buffer));
          event.values[(parts.get(1) as Buffer).toString()] = (parts.get(2) as Buffer).readFloatLE(
            0,
          );
        }
      }
    }
    events.push(event);
    at += 16 + length;
  }
  return events;
}

function fieldsOf(data: Buffer): [number, Buffer | number][] {
  const fields: [number, Buffer | number][] = [];
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = data[at]!;
      at += 1;
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < data.length) {
    const key = varint();
    const size = { 0: -1, 1: 8, 5: 4 }[key & 7];
    if (size === -1) fields.push([key >> 3, varint()]);
    else {
      const length = size ?? varint();
      fields.push([key >> 3, data.subarray(at, at + length)]);
      at += length;
    }
  }
  return fields;
}
