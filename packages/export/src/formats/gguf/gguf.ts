/** A merged model in one file for llama.cpp, node-llama-cpp and Ollama. */
import { join } from 'node:path';
import { readTokenizer, turnEndIds, type TextTokenizer } from '@peft/data';
import {
  BLOCK_TYPES,
  GGUF_FAMILIES,
  ggufConfig,
  ggufTensorBytes,
  openCheckpoint,
  openGguf,
  writeGguf,
  type GgufEntry,
  type GgufFamily,
  type NewGgufTensor,
} from '@peft/hub';
import type { DecoderConfig } from '@peft/models';
import type { Engine } from '@peft/ops';
import type { TrainedModel } from '@peft/predictor';
import { defineFormat, type WriteTools, type WrittenModel } from '../../format.js';
import { answerEndIds, chatTemplateOf } from '../../model/answers.js';
import { unsupported } from '../unsupported.js';
import { ggufParameters } from './gguf-tensors.js';
import { modelMetadata } from './model-metadata.js';
import { FILE_TYPES, tensorType, type FileTypeName } from './tensor-types.js';
import { tokenizerMetadata } from './tokenizer-metadata.js';

/** `gguf`: the merged model with its tokeniser and chat template. */
export const gguf = defineFormat({
  name: 'gguf',
  summary: 'the merged model in one file for llama.cpp, node-llama-cpp and Ollama',
  types: Object.keys(FILE_TYPES),
  fileExtension: '.gguf',
  prepare(source, request) {
    const type = (request.type ?? 'Q8_0') as FileTypeName;
    const { metadata, tensors, warnings } = prepareGguf(source, request.name, type);
    const file = fileName(request.name, type);
    return {
      type,
      totalBytes: tensors.reduce((sum, tensor) => sum + ggufTensorBytes(tensor), 0),
      warnings: [...warnings, ...slowly(tensors, source.engine)],
      write: (folder, tools) =>
        writeGguf(
          join(folder, file),
          metadata,
          tensors.map((tensor) => told(tensor, tools)),
          source.engine.blocks,
        ),
      reopen: (folder) => reopenGguf(join(folder, file)),
      next(output) {
        const path = output.endsWith('.gguf') ? output : join(output, file);
        return [`llama-cli -m ${path}`, `npx node-llama-cpp chat ${path}`];
      },
    };
  },
});

/** Values in blocks from which on writing them in JavaScript takes its time. */
const MANY_VALUES = 2 ** 27;

function slowly(tensors: readonly NewGgufTensor[], { blocks, name }: Engine): string[] {
  const values = tensors
    .filter(({ type }) => type.blockSize > 1)
    .reduce((sum, { shape }) => sum + shape.reduce((product, size) => product * size, 1), 0);
  return blocks || values < MANY_VALUES
    ? []
    : [
        `the ${name} engine has no quantizer of its own: ${(values / 1e9).toFixed(1)} billion ` +
          'weights are quantized in JavaScript, which takes minutes; the native engine writes the ' +
          'same bytes in seconds.',
      ];
}

/** By what the file itself says of its model. */
function reopenGguf(path: string): WrittenModel {
  const file = openGguf(path);
  try {
    return { config: ggufConfig(file), store: openCheckpoint(path) };
  } finally {
    file.close();
  }
}

const told = (tensor: NewGgufTensor, tools: WriteTools): NewGgufTensor => ({
  ...tensor,
  data() {
    tools.tensor(tensor.name, ggufTensorBytes(tensor));
    return tensor.data();
  },
});

/** A file that could be written. */
export interface PreparedGguf {
  readonly metadata: readonly GgufEntry[];
  readonly tensors: readonly NewGgufTensor[];
  readonly warnings: readonly string[];
}

/**
 * @param name `general.name`.
 * @throws PEFT_EXPORT_UNSUPPORTED, PEFT_MERGE_INEXACT
 */
export function prepareGguf(source: TrainedModel, name: string, type: FileTypeName): PreparedGguf {
  const family = ggufFamilyOf(source);
  const { model, base } = source;
  model.checkMergeable();
  const { layers, vocabularySize } = model.description;
  const shape = modelMetadata(family.architecture, model.config as DecoderConfig);
  const parameters = ggufParameters(source, family);
  const isTied = !parameters.some((parameter) => parameter.name === 'output.weight');
  const template = chatTemplateOf(source);
  const [turnEnd] = template ? turnEndIds(template, base.tokenizer) : [];
  const tokenizer = tokenizerMetadata(
    readTokenizer(base.tokenizerFolder, {
      addedTokens: base.vocabulary.added,
      modelType: String(base.config['model_type']),
    }).json,
    base.tokenizer,
    vocabularySize,
    { turnEnd, endIds: answerEndIds(source) },
  );
  return {
    metadata: [
      { key: 'general.architecture', type: 'string', value: family.architecture },
      { key: 'general.type', type: 'string', value: 'model' },
      { key: 'general.name', type: 'string', value: safeName(name, base.tokenizer) },
      { key: 'general.file_type', type: 'u32', value: FILE_TYPES[type].id },
      { key: 'general.quantization_version', type: 'u32', value: QUANTIZATION_VERSION },
      ...shape.entries,
      ...tokenizer.entries,
      ...(template
        ? [{ key: 'tokenizer.chat_template', type: 'string' as const, value: template.source }]
        : []),
    ],
    tensors: [
      ...Object.entries(shape.tables).map(([table, values]) => ({
        name: table,
        type: BLOCK_TYPES.F32,
        shape: [values.length],
        data: () => values,
      })),
      ...parameters.map((parameter) => ({
        name: parameter.name,
        shape: parameter.shape,
        type: tensorType(parameter, type, layers.decoder, isTied),
        data: () => parameter.values(),
      })),
    ],
    warnings: [...shape.warnings, ...tokenizer.warnings],
  };
}

/**
 * llama.cpp takes a model that is called after Phi-3 for one with its special tokens, and does not
 * load it without them.
 */
const safeName = (name: string, { tokenToId }: TextTokenizer): string =>
  PHI3_TOKENS.every((token) => tokenToId(token) !== undefined)
    ? name
    : name.replace(/phi-?3/gi, 'phi 3');

const PHI3_TOKENS = ['<unk>', '<s>', '</s>', '<|endoftext|>'];

/** Of the block types as they are since 2023. */
const QUANTIZATION_VERSION = 2;

const fileName = (name: string, type: string): string => `${name}-${type}.gguf`;

/** @throws PEFT_EXPORT_UNSUPPORTED naming the families that there are */
export function ggufFamilyOf({ base, model }: TrainedModel): GgufFamily {
  const type = String(base.config['model_type']);
  const family = GGUF_FAMILIES.find(({ modelTypes }) => modelTypes.includes(type));
  if (!family)
    throw unsupported(
      'gguf',
      `is written for ${GGUF_FAMILIES.flatMap(({ modelTypes }) => modelTypes).join(', ')}, not for ${type}`,
      'use safetensors',
    );
  if (model.description.head.kind !== 'causal-lm')
    throw unsupported(
      'gguf',
      `has no place for the head of this model (${model.description.head.kind})`,
      'use safetensors',
    );
  return family;
}
