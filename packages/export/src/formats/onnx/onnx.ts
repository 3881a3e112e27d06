/** A merged model as a folder of ONNX files, as transformers.js and ONNX Runtime load them. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { HeadOptions } from '@peft/core';
import { writeFileAtomic } from '@peft/hub';
import { copyModelFiles } from '@peft/predictor';
import { defineFormat } from '../../format.js';
import { generationFields } from '../../model/answers.js';
import { exportedConfig } from '../safetensors/exported-config.js';
import { unsupported } from '../unsupported.js';
import { planModelFile, writeModelFile } from './graph/model-file.js';
import { positionLimit } from './position-limit.js';
import { ONNX_TYPES, type OnnxType } from './onnx-types.js';
import { recordModel } from './trace/record-model.js';
import type { GraphPart } from './trace/recording.js';
import { classWarning, transformersJsConfig } from './transformers-js.js';

/** Heads that ONNX models have a place for. */
const HEADS: readonly string[] = [
  'none',
  'pooled-linear',
  'sequence-classification',
  'token-classification',
  'causal-lm',
  'seq2seq-lm',
];

/** `onnx`: what runs in a browser. */
export const onnx = defineFormat({
  name: 'onnx',
  summary: 'the merged model for transformers.js, in Node.js and browsers, and ONNX Runtime',
  types: Object.keys(ONNX_TYPES),
  hasShards: true,
  prepare(source, { type: given, maxShardBytes }) {
    const type = (given ?? 'fp32') as OnnxType;
    const { model, base } = source;
    const fields = { ...source.fields, ...generationFields(source) };
    const { head } = model.description;
    if (!HEADS.includes(head.kind))
      throw unsupported(
        'onnx',
        `is not written for the head of this model (${head.kind})`,
        'use safetensors',
      );
    model.checkMergeable();
    const { suffix, ...form } = ONNX_TYPES[type];
    const { positions, warning } = positionLimit(model);
    const plans = partsOf(head.kind).map(({ name, part }) =>
      planModelFile(
        `${name}${suffix}.onnx`,
        recordModel(model, part, positions, form),
        maxShardBytes,
      ),
    );
    const own = exportedConfig(source, form.floatType);
    const config = transformersJsConfig(model.description, own, type, plans);
    return {
      type,
      totalBytes: plans
        .flatMap(({ graph }) => graph.initializers)
        .reduce((sum, { byteLength }) => sum + byteLength, 0),
      warnings: [
        ...(warning === undefined ? [] : [warning]),
        ...classWarning(model.description, config),
      ],
      async write(folder, tools) {
        await copyModelFiles(base, folder, { withWeights: false, fields });
        await writeFileAtomic(join(folder, 'config.json'), `${JSON.stringify(config, null, 2)}\n`);
        await mkdir(join(folder, 'onnx'));
        for (const plan of plans) await writeModelFile(join(folder, 'onnx'), plan, tools);
      },
    };
  },
});

/** The graphs of a model by their files' names, which transformers.js looks for. */
function partsOf(
  head: HeadOptions['kind'],
): readonly { readonly name: string; readonly part: GraphPart }[] {
  if (head === 'seq2seq-lm')
    return [
      { name: 'encoder_model', part: 'encoder' },
      { name: 'decoder_model_merged', part: 'paired-decoder' },
    ];
  return [{ name: 'model', part: head === 'causal-lm' ? 'decoder' : 'texts' }];
}
