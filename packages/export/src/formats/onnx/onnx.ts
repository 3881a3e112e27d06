/** A merged model as a folder of ONNX files, as transformers.js and ONNX Runtime load them. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { writeFileAtomic } from '@peft/hub';
import { copyModelFiles } from '@peft/predictor';
import { defineFormat } from '../../format.js';
import { exportedConfig } from '../safetensors/exported-config.js';
import { unsupported } from '../unsupported.js';
import { planModelFile, writeModelFile } from './graph/model-file.js';
import { positionLimit } from './position-limit.js';
import { ONNX_TYPES, type OnnxType } from './onnx-types.js';
import { recordModel } from './trace/record-model.js';
import { classWarning, transformersJsConfig } from './transformers-js.js';

/** Heads that ONNX models have a place for. */
const HEADS: readonly string[] = [
  'none',
  'pooled-linear',
  'sequence-classification',
  'token-classification',
  'causal-lm',
];

/** `onnx`: what runs in a browser. */
export const onnx = defineFormat({
  name: 'onnx',
  summary: 'the merged model for transformers.js, in Node.js and browsers, and ONNX Runtime',
  types: Object.keys(ONNX_TYPES),
  hasShards: true,
  prepare(source, { type: given, maxShardBytes }) {
    const type = (given ?? 'fp32') as OnnxType;
    const { model, base, fields } = source;
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
    const graph = recordModel(model, positions, form);
    const plan = planModelFile(`model${suffix}.onnx`, graph, maxShardBytes);
    const own = exportedConfig(source, form.floatType);
    const config = transformersJsConfig(model.description, own, type, plan);
    return {
      type,
      totalBytes: graph.initializers.reduce((sum, { byteLength }) => sum + byteLength, 0),
      warnings: [
        ...(warning === undefined ? [] : [warning]),
        ...classWarning(model.description, config),
      ],
      async write(folder, tools) {
        await copyModelFiles(base, folder, { withWeights: false, fields });
        await writeFileAtomic(join(folder, 'config.json'), `${JSON.stringify(config, null, 2)}\n`);
        await mkdir(join(folder, 'onnx'));
        await writeModelFile(join(folder, 'onnx'), plan, tools);
      },
    };
  },
});
