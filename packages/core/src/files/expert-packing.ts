/**
 * What PEFT makes for a parameter that holds all experts of a block (`target_parameters`): one
 * tensor for all of them, below the module of the parameter. Here each expert is a site with tensors
 * of its own, which files pack.
 *
 * Of two parameters of one module the first lies below `base_layer`, since PEFT wraps the module
 * once for each.
 */
import { readFloat32, type NewTensor, type TensorStore } from '@peft/hub';
import { memorySource } from '@peft/ops';
import type {
  AdapterFormat,
  AdapterView,
  ExpertLayout,
  MethodSpec,
} from '../method/peft-method.js';
import type { OwnedParameter } from '../method/attach-context.js';

/** One tensor of a file, and the parameters of the experts in order. */
interface Pack {
  readonly key: string;
  readonly layout: ExpertLayout;
  /** Keys that the experts' tensors would have alone, in the order of the experts. */
  readonly keys: readonly string[];
  /** Of one expert. */
  readonly shape: readonly number[];
}

/** Whether a spec's files pack experts. */
export const packsExperts = ({ parts }: MethodSpec): boolean =>
  parts.some(({ method, config }) => method.expertLayouts?.(config) !== undefined);

/** The tensors with those of all experts of a parameter in one. */
export function packExperts(
  adapter: AdapterView,
  format: AdapterFormat,
  tensors: readonly NewTensor[],
): NewTensor[] {
  const packs = packsOf(adapter, format);
  const inPacks = new Set(packs.flatMap(({ keys }) => keys));
  const byName = new Map(tensors.map((tensor) => [tensor.name, tensor]));
  return [
    ...tensors.filter(({ name }) => !inPacks.has(name)),
    ...packs.map(({ key, layout, keys, shape }): NewTensor => {
      const parts = keys.map((name) => byName.get(name)!.data as Float32Array);
      const joined = layout === 'rows' ? joinRows(parts) : joinColumns(parts, shape);
      return {
        name: key,
        dtype: 'F32',
        shape: packedShape(layout, shape, keys.length),
        data: joined,
      };
    }),
  ];
}

/** A file's tensors with those of the experts apart, where it has them packed. */
export function unpackExperts(
  adapter: AdapterView,
  format: AdapterFormat,
  store: TensorStore,
): TensorStore {
  const apart = new Map<string, { readonly pack: Pack; readonly expert: number }>();
  const whole = new Map<string, Float32Array>();
  const replaced = new Set<string>();
  for (const pack of packsOf(adapter, format)) {
    const source = store.get(pack.key);
    const wanted = packedShape(pack.layout, pack.shape, pack.keys.length).join();
    if (source?.shape.join() !== wanted) continue;
    replaced.add(pack.key);
    pack.keys.forEach((key, expert) => apart.set(key, { pack, expert }));
  }
  const valuesOf = (key: string): Float32Array => {
    const values = whole.get(key) ?? readFloat32(store.get(key)!);
    whole.set(key, values);
    return values;
  };
  return {
    metadata: store.metadata,
    names: () => [...store.names().filter((name) => !replaced.has(name)), ...apart.keys()],
    get(name) {
      const found = apart.get(name);
      if (!found) return store.get(name);
      const { pack, expert } = found;
      const values = valuesOf(pack.key);
      const own =
        pack.layout === 'rows' ? rowsOf(values, pack, expert) : columnsOf(values, pack, expert);
      return memorySource(name, pack.shape, own);
    },
    close: () => store.close(),
  };
}

function packsOf(adapter: AdapterView, format: AdapterFormat): Pack[] {
  if (format.name !== 'peft') return [];
  const found = new Map<
    string,
    { of: string; word: string; layout: ExpertLayout; own: OwnedParameter[] }
  >();
  for (const { part, sites } of adapter.parts) {
    const layouts = part.method.expertLayouts?.(part.config);
    if (!layouts) continue;
    const paths = new Set(sites.map(({ path }) => path));
    for (const parameter of adapter.parameters.values()) {
      const { site, origin, name } = parameter;
      if (origin !== 'new' || site?.kind !== 'linear' || !site.entry || !paths.has(site.path))
        continue;
      const word = name.slice(site.path.length + 1);
      const layout = layouts[word];
      if (!layout) continue;
      const { of } = site.entry;
      const pack = found.get(`${of} ${word}`) ?? { of, word, layout, own: [] };
      pack.own[site.entry.index] = parameter;
      found.set(`${of} ${word}`, pack);
    }
  }
  const wrapped = [...new Set([...found.values()].map(({ of }) => of))];
  return [...found.values()].map(({ of, word, layout, own }) => {
    const module = moduleOf(of);
    const outer = wrapped
      .slice(wrapped.indexOf(of) + 1)
      .filter((other) => moduleOf(other) === module);
    return {
      key: `base_model.model.${module}.${'base_layer.'.repeat(outer.length)}${word}`,
      layout,
      keys: own.map((parameter) => format.keyOf(adapter, parameter)),
      shape: own[0]!.shape,
    };
  });
}

/** `…mlp.experts.gate_up_proj` → `…mlp.experts` */
const moduleOf = (parameter: string): string => parameter.slice(0, parameter.lastIndexOf('.'));

const packedShape = (
  layout: ExpertLayout,
  [rows = 0, columns = 0]: readonly number[],
  experts: number,
): readonly number[] => (layout === 'rows' ? [rows * experts, columns] : [rows, columns * experts]);

function joinRows(parts: readonly Float32Array[]): Float32Array {
  const joined = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

/** Column c of expert e of X stands at c·X + e. */
function joinColumns(
  parts: readonly Float32Array[],
  [rows = 0, columns = 0]: readonly number[],
): Float32Array {
  const experts = parts.length;
  const joined = new Float32Array(rows * columns * experts);
  parts.forEach((part, expert) =>
    part.forEach((value, at) => (joined[at * experts + expert] = value)),
  );
  return joined;
}

function rowsOf(values: Float32Array, { shape }: Pack, expert: number): Float32Array {
  const size = shape[0]! * shape[1]!;
  return values.slice(expert * size, (expert + 1) * size);
}

function columnsOf(values: Float32Array, { shape, keys }: Pack, expert: number): Float32Array {
  const own = new Float32Array(shape[0]! * shape[1]!);
  return own.map((_, at) => values[at * keys.length + expert]!);
}
