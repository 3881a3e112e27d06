/**
 * Writes a graph, a tensor in memory at a time: the messages of `onnx.proto3` are framed here, as
 * one message with all weights would be the whole model in memory.
 */
import { open, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import type { WriteTools } from '../../../format.js';
import type { FinishedGraph, Initializer } from './onnx-graph.js';
import { graphHead, modelHead, tensorHead, type ExternalPlace } from './onnx-messages.js';

/** Numbers of the fields in `onnx.proto3`. */
const FIELD = Object.freeze({ graph: 7, initializer: 5, rawData: 9 });

/** What one file can hold: protobuf ends at 2 GiB, and so do arrays of some browsers. */
export const LARGEST_FILE_BYTES = 1_900_000_000;

/** Tensors of a file begin at multiples of it, as what maps it into memory wants. */
const ALIGNMENT = 64;

/** Tensors below it stay in the graph, where constants of shapes have to be. */
const SMALLEST_EXTERNAL_BYTES = 1024;

export interface ModelFilePlan {
  readonly name: string;
  readonly graph: FinishedGraph;
  /** Of initializers that lie beside the graph. */
  readonly places: ReadonlyMap<Initializer, ExternalPlace>;
  /** Files of weights: `model.onnx_data`, `model.onnx_data_1` … */
  readonly dataFiles: readonly string[];
}

/**
 * @param name `model.onnx`.
 * @param largestBytes what a file may hold; where all fits into one, there is one.
 */
export function planModelFile(
  name: string,
  graph: FinishedGraph,
  largestBytes = LARGEST_FILE_BYTES,
): ModelFilePlan {
  const places = new Map<Initializer, ExternalPlace>();
  const dataFiles: string[] = [];
  const total = graph.initializers.reduce((sum, { byteLength }) => sum + byteLength, 0);
  if (total <= largestBytes) return { name, graph, places, dataFiles };
  let offset = Infinity;
  for (const initializer of graph.initializers) {
    const { byteLength: length } = initializer;
    if (length < SMALLEST_EXTERNAL_BYTES) continue;
    if (offset + length > largestBytes) {
      dataFiles.push(`${name}_data${dataFiles.length === 0 ? '' : `_${dataFiles.length}`}`);
      offset = 0;
    }
    places.set(initializer, { file: dataFiles.at(-1)!, offset, length });
    offset = Math.ceil((offset + length) / ALIGNMENT) * ALIGNMENT;
  }
  return { name, graph, places, dataFiles };
}

/** Writes the model's files into a folder. */
export async function writeModelFile(
  folder: string,
  { name, graph, places, dataFiles }: ModelFilePlan,
  tools: WriteTools,
): Promise<void> {
  const inner = graph.initializers.filter((initializer) => !places.has(initializer));
  const outer = graph.initializers.filter((initializer) => places.has(initializer));
  const bytesOf = (initializer: Initializer): Uint8Array => {
    tools.tensor(initializer.name, initializer.byteLength);
    const bytes = initializer.bytes();
    if (bytes.byteLength !== initializer.byteLength)
      throw new Error(
        `${initializer.name}: ${bytes.byteLength} bytes in place of ${initializer.byteLength}`,
      );
    return bytes;
  };
  await writing(join(folder, name), async (file) => {
    const head = graphHead(graph);
    const framed = [
      ...inner.map((initializer) => framedTensor(initializer)),
      ...outer.map((initializer) => ({
        frame: framedHead(tensorHead(initializer, places.get(initializer))),
        initializer: undefined,
      })),
    ];
    const size = framed.reduce(
      (sum, { frame, initializer }) => sum + frame.length + (initializer?.byteLength ?? 0),
      head.length,
    );
    await file.appendFile(Buffer.concat([modelHead(), prefix(FIELD.graph, size), head]));
    for (const { frame, initializer } of framed) {
      await file.appendFile(frame);
      if (initializer) await file.appendFile(bytesOf(initializer));
    }
  });
  for (const data of dataFiles)
    await writing(join(folder, data), async (file) => {
      let end = 0;
      for (const initializer of outer) {
        const { file: own, offset, length } = places.get(initializer)!;
        if (own !== data) continue;
        await file.appendFile(new Uint8Array(offset - end));
        await file.appendFile(bytesOf(initializer));
        end = offset + length;
      }
    });
}

async function writing(path: string, write: (file: FileHandle) => Promise<void>): Promise<void> {
  const file = await open(path, 'wx');
  try {
    await write(file);
  } finally {
    await file.close();
  }
}

/** A field of a message: its number and the length of what follows. */
const prefix = (field: number, length: number): Uint8Array =>
  new BinaryWriter().tag(field, WireType.LengthDelimited).uint32(length).finish();

/** All of an initializer's message that stands in front of its bytes. */
function framedTensor(initializer: Initializer): {
  readonly frame: Uint8Array;
  readonly initializer: Initializer;
} {
  const head = tensorHead(initializer, undefined);
  const data = prefix(FIELD.rawData, initializer.byteLength);
  const length = head.length + data.length + initializer.byteLength;
  return {
    frame: Buffer.concat([prefix(FIELD.initializer, length), head, data]),
    initializer,
  };
}

const framedHead = (head: Uint8Array): Uint8Array =>
  Buffer.concat([prefix(FIELD.initializer, head.length), head]);
