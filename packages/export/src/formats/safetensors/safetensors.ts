/** A merged checkpoint as transformers saves one: weights, config, tokenizer, card. */
import { join } from 'node:path';
import { quantizableWeights, type ParameterSpec } from '@peft/core';
import {
  openCheckpoint,
  readModelConfig,
  writeCheckpoint,
  writeFileAtomic,
  type NewTensor,
} from '@peft/hub';
import { STORED_BYTES, type StoredDtype } from '@peft/ops';
import { copyModelFiles, type TrainedModel } from '@peft/predictor';
import { defineFormat, type WriteTools } from '../../format.js';
import { generationFields } from '../../model/answers.js';
import { requireFloat16 } from '../../model/float16-range.js';
import { foldedValues } from '../../model/folded-values.js';
import { FOUR_BIT_TYPES, fourBitBytes, fourBitConfig, fourBitTensors } from './four-bit-tensors.js';
import { exportedConfig } from './exported-config.js';
import { mergedCard } from './model-card.js';
import { pooledText } from './pooled-text.js';
import { storedTensors, type StoredTensor } from './stored-tensors.js';

const TYPES = Object.freeze({
  f32: { stored: 'F32', torch: 'float32' },
  bf16: { stored: 'BF16', torch: 'bfloat16' },
  f16: { stored: 'F16', torch: 'float16' },
} as const);
type Type = keyof typeof TYPES;

/** `safetensors`: what any tool of the Hugging Face world loads. */
export const safetensors = defineFormat({
  name: 'safetensors',
  summary: 'a merged checkpoint for transformers, vLLM and every other tool of Hugging Face',
  types: [...Object.keys(TYPES), ...FOUR_BIT_TYPES],
  hasShards: true,
  prepare(source, { type: given, name, maxShardBytes }) {
    const fourBit = FOUR_BIT_TYPES.find((known) => known === given);
    // beside weights in 4 bits the others keep the base's type
    const type =
      fourBit === undefined && given !== undefined ? (given as Type) : typeOfBase(source);
    const { model, base } = source;
    const fields = { ...source.fields, ...generationFields(source) };
    model.checkMergeable();
    const packed = new Set(fourBit && quantizableWeights(model.description));
    // bitsandbytes packs linear layers, which experts and routers of transformers are not
    for (const site of model.description.sites)
      if (site.kind === 'linear' && site.isBareParameter) packed.delete(site.weight);
    const { parameters, head } = model.description;
    const { stored, torch } = TYPES[type];
    const pooled = pooledText(model.description);
    const warnings =
      pooled === undefined
        ? []
        : [
            `transformers has no class with this head (one linear layer on ${pooled}): AutoModel ` +
              'loads the backbone, and head.weight and head.bias lie beside it.',
          ];
    const totalBytes = parameters.reduce(
      (sum, spec) => sum + (packed.has(spec.name) ? fourBitBytes(spec) : bytesOf(spec, stored)),
      0,
    );
    return {
      type: fourBit ?? type,
      totalBytes,
      warnings,
      async write(folder, tools) {
        await copyModelFiles(base, folder, { withWeights: false, fields });
        const config = { ...exportedConfig(source, torch), ...fourBitConfig(fourBit, torch) };
        await writeFileAtomic(join(folder, 'config.json'), `${JSON.stringify(config, null, 2)}\n`);
        const tensors = storedTensors(model.description).flatMap((stored) => {
          const [spec] = stored.parameters;
          return fourBit && packed.has(spec!.name)
            ? fourBitTensors(source, spec!, { format: fourBit, torch }, tools)
            : tensorOf(source, stored, type, tools);
        });
        await writeCheckpoint(
          folder,
          tensors,
          maxShardBytes === undefined ? {} : { maxShardBytes },
        );
      },
      reopen: (folder) => ({ config: readModelConfig(folder), store: openCheckpoint(folder) }),
      finish: (folder, report) =>
        writeFileAtomic(
          join(folder, 'README.md'),
          mergedCard(source, name, fourBit ?? type, report),
        ),
      next: (output) =>
        head.kind === 'causal-lm' || head.kind === 'seq2seq-lm'
          ? [`peft generate ${output} --prompt TEXT`]
          : [],
    };
  },
});

/** What the base says that it is stored in. */
function typeOfBase({ base: { config } }: TrainedModel): Type {
  const dtype = config['dtype'] ?? config['torch_dtype'];
  const found = (Object.keys(TYPES) as Type[]).find((type) => TYPES[type].torch === dtype);
  return found ?? 'f32';
}

const bytesOf = ({ shape }: Pick<ParameterSpec, 'shape'>, dtype: StoredDtype): number =>
  shape.reduce((product, size) => product * size, STORED_BYTES[dtype]);

function tensorOf(
  { model }: TrainedModel,
  { name, shape, values }: StoredTensor,
  type: Type,
  tools: WriteTools,
): NewTensor {
  const { stored } = TYPES[type];
  return {
    name,
    dtype: stored,
    shape,
    data() {
      tools.tensor(name, bytesOf({ shape }, stored));
      return values((spec) => {
        const folded = foldedValues(model, spec);
        if (type === 'f16') requireFloat16(spec.name, folded);
        return folded;
      });
    },
  };
}
