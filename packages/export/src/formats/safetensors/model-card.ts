/** README.md beside a merged checkpoint. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { TrainedModel } from '@peft/predictor';
import type { ExportReport } from '../../format.js';
import { pooledText } from './pooled-text.js';

/** Markdown with a YAML head, as the hub shows it. */
export function mergedCard(
  source: TrainedModel,
  name: string,
  type: string,
  { deviation, warnings }: ExportReport,
): string {
  const { base, method, model } = source;
  const isHubName = !existsSync(base.reference) && /^[\w.-]+(\/[\w.-]+)?$/.test(base.reference);
  const shown = isHubName ? base.reference : join('…', base.reference.split(/[\\/]/).at(-1)!);
  const pooled = pooledText(model.description);
  const what =
    method === undefined
      ? `The weights of \`${shown}\``
      : `\`${shown}\` with an adapter (${method}) merged into its weights`;
  return [
    '---',
    ...(isHubName ? [`base_model: ${base.reference}`] : []),
    'library_name: transformers',
    'tags:',
    ...(isHubName ? [`- base_model:finetune:${base.reference}`] : []),
    '- transformers',
    '---',
    '',
    `# ${name}`,
    '',
    `${what}, stored as ${type}. Merged in float32 from the base's weights ${baseText(source)}.`,
    '',
    ...(deviation
      ? [
          `On a probe batch the results differ from those with the adapter beside its base by at ` +
            `most ${deviation.largest.toPrecision(2)}, ${deviation.relative.toPrecision(2)} of the largest.`,
          '',
        ]
      : []),
    ...warnings.flatMap((warning) => [warning, '']),
    ...(pooled === undefined ? [] : [headText(pooled), '']),
  ].join('\n');
}

/** Which values of the base were merged into. */
function baseText(source: TrainedModel): string {
  const held = source.model.weights.quantization;
  if (held)
    return (
      `as they were in training, in ${held.format}, since ${source.method} has fixed parts that are ` +
      'computed from them: they carry that rounding'
    );
  return `as their file has them${wasQuantized(source) ? ', which were quantised: they carry that rounding' : ''}`;
}

/** Quantised by bitsandbytes, or a GGUF file. */
const wasQuantized = ({ base }: TrainedModel): boolean =>
  base.config['quantization_config'] !== undefined ||
  base.folder.endsWith('.gguf') ||
  existsSync(join(base.folder, 'model.gguf'));

const headText = (pooled: string): string =>
  'The tensors `head.weight` `[classes, width]` and `head.bias` are one linear layer on the last ' +
  `hidden state, of ${pooled}, which no class of transformers has.`;
