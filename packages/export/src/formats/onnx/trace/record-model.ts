/** The graph of a model: its forward pass, recorded. */
import { Model, type ModelOutput } from '@peft/core';
import { foldedValues } from '../../../model/folded-values.js';
import { unsupported } from '../../unsupported.js';
import { OnnxGraph, type FinishedGraph, type FloatType, type Port } from '../graph/onnx-graph.js';
import { stored, type WeightForm, type WeightParameter } from '../weights/weight-form.js';
import { CannotRecord } from './cannot-record.js';
import {
  memoryOf,
  recordedVector,
  recordedWeight,
  recordingEngine,
  whileRecording,
} from './recording-backend.js';
import { Recording, type GraphPart } from './recording.js';
import { traceBatch } from './trace-batch.js';

export interface RecordOptions {
  readonly floatType: FloatType;
  readonly weights: WeightForm;
}

/**
 * Runs the model's forward pass once, without values.
 * @param part what of it the graph is to be
 * @param positionLimit positions that the graph has to tell apart
 * @throws PEFT_EXPORT_UNSUPPORTED where it does what ONNX has no operator for
 */
export function recordModel(
  model: Model,
  part: GraphPart,
  positionLimit: number,
  { floatType, weights }: RecordOptions,
): FinishedGraph {
  const { description } = model;
  const graph = new OnnxGraph(floatType);
  const trace = traceBatch(description, { paddingId: paddingIdOf(model), positionLimit });
  const recording = new Recording(graph, trace, weights, part, description);
  try {
    whileRecording(recording, () => {
      const twin = recordedTwin(model, recording);
      try {
        const encoded =
          part === 'paired-decoder'
            ? { hidden: memoryOf(recording), offsets: trace.memoryOffsets }
            : undefined;
        const batch = { ...trace.batch, encoded };
        nameOutputs(recording, twin.forward(batch, { logitRows: trace.keptRows }));
      } finally {
        twin.dispose();
      }
    });
  } catch (error) {
    throw named(error, model.architecture.family);
  }
  return graph.finish();
}

/** The same model with weights that are names. */
function recordedTwin(model: Model, recording: Recording): Model {
  const { description } = model;
  const engine = recordingEngine(recording);
  const read = new Set<string>();
  const heads = new Set<string>();
  const routers = new Set<string>();
  for (const site of description.sites)
    if (site.kind === 'embedding') read.add(site.weight);
    else if (site.kind === 'linear' && site.isOutputHead) heads.add(site.weight);
    else if (site.kind === 'linear' && site.role === 'router') routers.add(site.weight);
  const isLanguageModel = description.head.kind.endsWith('-lm');
  const parameters = new Map(
    description.parameters.map((spec) => {
      const parameter: WeightParameter = {
        name: spec.name,
        shape: spec.shape,
        isTable: read.has(spec.name),
        keepsBits: routers.has(spec.name) || (!isLanguageModel && heads.has(spec.name)),
        values: () => foldedValues(model, spec),
      };
      return [spec.name, { parameter, use: spec.use }] as const;
    }),
  );
  return new Model(
    model.architecture,
    model.config,
    model.configJson,
    description,
    {
      get(name) {
        const { parameter, use } = parameters.get(name)!;
        return use === 'vector'
          ? recordedVector(recording, stored(recording.graph, parameter), parameter.shape)
          : recordedWeight(engine, parameter);
      },
      fresh: [],
      byteLength: 0,
      dispose() {
        // Nothing is held.
      },
    },
    engine,
  );
}

/** Names that transformers.js and Optimum read. */
function nameOutputs(
  recording: Recording,
  { logits, hidden, pooled, encoderHidden }: ModelOutput,
): void {
  const { graph, part } = recording;
  const { head, hiddenSize } = recording.description;
  const asFloat32 = (value: string) =>
    graph.floatType === 'float32' ? value : graph.cast(value, 'float32');
  const put = (name: string, value: string, ...rest: Port['shape']) =>
    graph.output(asFloat32(value), {
      name,
      type: 'float32',
      shape: ['batch_size', ...rest],
    });
  if (head.kind === 'none' || part === 'encoder') {
    const last = part === 'encoder' ? encoderHidden! : hidden;
    const states = recording.reshape(recording.valueOf(last), recording.perToken(hiddenSize));
    put('last_hidden_state', states, 'sequence_length', hiddenSize);
    if (pooled) put('pooler_output', recording.valueOf(pooled), hiddenSize);
    return;
  }
  const value = recording.valueOf(logits!);
  const width = logits!.shape[1];
  if (recording.hasCache)
    put('logits', recording.reshape(value, recording.perText(-1, width)), 'logits_length', width);
  else if (head.kind === 'token-classification')
    put('logits', recording.reshape(value, recording.perToken(width)), 'sequence_length', width);
  else put('logits', value, width);
}

/** The id that a family takes for padding. */
function paddingIdOf({ config, configJson }: Model): number | undefined {
  const { paddingId } = config as { readonly paddingId?: number };
  const id = paddingId ?? configJson['pad_token_id'];
  return typeof id === 'number' && id >= 0 ? id : undefined;
}

/** What cannot be recorded, with the family's name. */
function named(error: unknown, family: string): unknown {
  const missing = /Kernel '(\w+)' not registered/.exec((error as Error).message)?.[1];
  if (missing === undefined && !(error instanceof CannotRecord)) return error;
  const what = missing === undefined ? (error as Error).message : `it uses ${missing}`;
  return unsupported('onnx', `cannot record ${family}: ${what}`, 'use safetensors');
}
