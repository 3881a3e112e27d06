/**
 * `quant_method: torchao`, as transformers 5 writes its safetensors: the parts of `x.weight` are
 * `x._weight_qdata`, `x._weight_scale` and `x._weight_zero_point`. Which kind of tensor they are is
 * seen by their types and shapes; `quant_type` says what the linear maps are in memory, and names what
 * is packed for one processor's kernels and not read. Activations stay as they are here.
 */
import { show } from '@peft/errors';
import { unreadForm, type FormSettings } from '../form-settings.js';
import { integerForm } from '../integer/integer-settings.js';
import type { FormReader, QuantizedForm, StoredForm } from '../quantized-form.js';
import { torchaoWeight } from './torchao-weight.js';

const PART = /\._\w+_(scale|zero_point)$/;
const CODES = /\._(\w+)_qdata$/;

export const torchaoForm = Object.freeze<QuantizedForm>({ method: 'torchao', read: readTorchao });

function readTorchao(settings: FormSettings): FormReader {
  const kind = kindOf(settings);
  const skipModules = settings.modules('modules_to_not_convert');
  const bits = kind.bits ?? 8;
  return {
    inMemory: formOf(kind, skipModules),
    weightName: (stored) => (PART.test(stored) ? undefined : stored.replace(CODES, '.$1')),
    weight: (tensors, name) => torchaoWeight(tensors, name, bits),
  };
}

/** What `quant_type` says of the linear maps. */
interface Kind {
  /** Of integers with integer zero points; undefined for others, and for several kinds. */
  readonly bits: number | undefined;
  /** Inputs that share a scale; undefined: a row. */
  readonly groupSize: number | undefined;
}

type Json = Readonly<Record<string, unknown>>;

const FLOATS: Kind = { bits: undefined, groupSize: undefined };
const READABLE =
  'Int8WeightOnlyConfig, Int8DynamicActivationInt8WeightConfig, IntxWeightOnlyConfig, ' +
  'Int8DynamicActivationIntxWeightConfig, Int4WeightOnlyConfig (plain), Float8WeightOnlyConfig, ' +
  'Float8DynamicActivationFloat8WeightConfig and FqnToConfig of these are';

/** @throws PEFT_QUANTIZATION_METHOD, PEFT_QUANTIZATION_CONFIG */
function kindOf(settings: FormSettings): Kind {
  const given = settings.value('quant_type');
  const config = isObject(given) ? given.default : given;
  if (typeof config === 'string') throw unreadForm(`torchao's ${show(config)}`, READABLE);
  if (!isObject(config)) return settings.refuse('quant_type', given, 'an object with "default"');
  return kindOfConfig(config);
}

function kindOfConfig(config: Json): Kind {
  const fields = isObject(config._data) ? config._data : {};
  switch (config._type) {
    case 'Float8WeightOnlyConfig':
    case 'Float8DynamicActivationFloat8WeightConfig':
      return FLOATS;
    case 'Int8WeightOnlyConfig':
    case 'Int8DynamicActivationInt8WeightConfig':
      return { bits: 8, groupSize: groupSizeOf(fields.granularity, fields.group_size) };
    case 'Int4WeightOnlyConfig':
      requirePacking(fields.int4_packing_format, 'PLAIN');
      return FLOATS; // its zero points are fractions
    case 'IntxWeightOnlyConfig':
    case 'Int8DynamicActivationIntxWeightConfig':
      requirePacking(fields.intx_packing_format, 'UNPACKED_TO_INT8');
      return {
        bits: bitsOf(fields.weight_dtype),
        groupSize: groupSizeOf(fields.granularity ?? fields.weight_granularity),
      };
    case 'FqnToConfig':
    case 'ModuleFqnToConfig':
      return kindOfSeveral(Object.values(fields).flatMap(configsIn));
    default:
      throw unreadForm(`torchao's ${show(config._type ?? null)}`, READABLE);
  }
}

/** Of one kind or, where they differ, of none that is held packed. */
function kindOfSeveral(configs: readonly Json[]): Kind {
  const kinds = configs.map(kindOfConfig);
  const [first = FLOATS] = kinds;
  return kinds.every(({ bits, groupSize }) => bits === first.bits && groupSize === first.groupSize)
    ? first
    : FLOATS;
}

const isObject = (json: unknown): json is Json =>
  typeof json === 'object' && json !== null && !Array.isArray(json);

/** Configs by the names of modules; what is null is not quantised. */
function configsIn(json: unknown): Json[] {
  if (!isObject(json)) return [];
  return typeof json._type === 'string' ? [json] : Object.values(json).flatMap(configsIn);
}

/** How an enumeration's value or a type is written. */
const nameIn = (json: unknown): unknown => (isObject(json) ? json._data : json);

function requirePacking(given: unknown, read: string): void {
  const packing = nameIn(given) ?? read;
  if (packing !== read) throw unreadForm(`torchao packed as ${show(packing)}`, `${read} is`);
}

function bitsOf(given: unknown): number {
  const name = nameIn(given) ?? 'int8';
  const found = /^u?int([1-8])$/.exec(String(name));
  if (!found) throw unreadForm(`torchao in ${show(name)}`, 'int1 to int8 are');
  return Number(found[1]);
}

function groupSizeOf(granularity: unknown, fallback?: unknown): number | undefined {
  const fields = isObject(granularity) && isObject(granularity._data) ? granularity._data : {};
  const size = fields.group_size ?? fallback;
  return Number.isSafeInteger(size) && (size as number) > 0 ? (size as number) : undefined;
}

function formOf({ bits, groupSize }: Kind, skipModules: readonly string[]): StoredForm {
  if (bits === 8 && groupSize === undefined)
    return { format: 'int8', doubleQuantization: false, skipModules };
  return bits === 4
    ? integerForm(bits, groupSize, skipModules)
    : { format: 'bf16', doubleQuantization: false, skipModules };
}
