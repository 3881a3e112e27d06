/** How a compressed-tensors checkpoint stores its weights, out of its `config_groups`. */
import { show } from '@peft/errors';
import { formSettings, unreadForm, type FormSettings } from '../form-settings.js';
import type { BlockShape } from '../fp8/scaled-floats.js';
import { groupSizeOf } from '../integer/integer-settings.js';

export type Scheme =
  | {
      readonly type: 'int';
      readonly bits: 4 | 8;
      readonly isPacked: boolean;
      readonly isSymmetric: boolean;
      /** Inputs that share a scale; undefined: all of a row, or of the weight. */
      readonly groupSize: number | undefined;
    }
  | { readonly type: 'float'; readonly blockShape: BlockShape };

const READABLE =
  'pack-quantized (4 and 8 bits), int-quantized, float-quantized and naive-quantized are';
const FORMATS = ['pack-quantized', 'int-quantized', 'float-quantized', 'naive-quantized'];

/** @throws PEFT_QUANTIZATION_METHOD, PEFT_QUANTIZATION_CONFIG */
export function readScheme(settings: FormSettings): Scheme {
  const groups: readonly unknown[] = Object.values(
    (settings.value('config_groups') ?? {}) as object,
  );
  if (groups.length === 0)
    settings.refuse('config_groups', settings.value('config_groups'), 'an object of at least one');
  const sparsity = settings.value('sparsity_config') as { format?: unknown } | undefined;
  const sparse = sparsity?.format ?? 'dense';
  if (sparse !== 'dense')
    throw unreadForm(`compressed-tensors in the format ${show(sparse)}`, READABLE);
  const schemes = groups.map((each) => schemeOfGroup(formSettings(each), settings.value('format')));
  if (schemes.some((each) => JSON.stringify(each) !== JSON.stringify(schemes[0])))
    throw unreadForm('compressed-tensors in several schemes', 'one scheme for all weights is');
  return schemes[0]!;
}

/** @param formatOfAll for a group that names none of its own */
function schemeOfGroup(group: FormSettings, formatOfAll: unknown): Scheme {
  const format = group.value('format') ?? formatOfAll;
  if (!FORMATS.includes(format as string))
    throw unreadForm(`compressed-tensors in the format ${show(format)}`, READABLE);
  return schemeOf(formSettings(group.value('weights') ?? null), format === 'pack-quantized');
}

function schemeOf(weights: FormSettings, isPacked: boolean): Scheme {
  const type = weights.oneOf('type', ['int', 'float'], 'int');
  const bits = weights.integer('num_bits', 8, '4 or 8', (value) => value === 4 || value === 8);
  const strategy = weights.oneOf(
    'strategy',
    ['tensor', 'channel', 'group', 'block'],
    weights.value('group_size') === undefined ? 'tensor' : 'group',
  );
  if (type === 'float') {
    if (bits !== 8 || isPacked || strategy === 'group')
      throw unreadForm(`compressed-tensors in floats of ${bits} bits by ${strategy}`, READABLE);
    return { type, blockShape: blockShapeOf(weights) };
  }
  if (strategy === 'block' || (bits === 4 && !isPacked))
    throw unreadForm(`compressed-tensors in integers of ${bits} bits by ${strategy}`, READABLE);
  return {
    type,
    bits: bits as 4 | 8,
    isPacked,
    isSymmetric: weights.value('symmetric') === undefined || weights.flag('symmetric'),
    groupSize: strategy === 'group' ? groupSizeOf(weights, 'group_size', 128) : undefined,
  };
}

function blockShapeOf(weights: FormSettings): BlockShape {
  const found = weights.value('block_structure') ?? [128, 128];
  const isPair =
    Array.isArray(found) &&
    found.length === 2 &&
    found.every((side) => Number.isSafeInteger(side) && side > 0);
  return isPair
    ? (found as unknown as BlockShape)
    : weights.refuse('block_structure', found, 'two positive integers');
}
