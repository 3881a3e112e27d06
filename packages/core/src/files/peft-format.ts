/**
 * Hugging Face PEFT's layout of adapter files.
 *
 * Keys: `base_model.model.<path>.<parameter>`; what belongs to no module `base_model.<name>`; a
 * base parameter of a wrapped module `<path>.base_layer.<parameter>`, of any other module its own
 * name. Prompt learning: its own tensors bare, a head's after `base_model.` alone.
 */
import { tiedEmbeddings } from '../description/tied-embeddings.js';
import { tiedOutputs } from '../description/tied-outputs.js';
import type { FileKey } from '../method/adapter-file.js';
import type { OwnedParameter } from '../method/attach-context.js';
import type { AdapterFormat, AdapterView } from '../method/peft-method.js';
import { readPeftSpec, writePeftConfig } from './peft-config.js';

/** Modules whose whole weight PEFT stores beside an adapter on them. */
const EMBEDDING_MODULES = ['embed_tokens', 'lm_head'];

/**
 * Files as Hugging Face PEFT writes and reads them: `adapter_config.json` with `peft_type` (or a
 * union of such configs), `adapter_model.safetensors` under `base_model.model.` names.
 */
export const peftFormat: AdapterFormat = Object.freeze({
  name: 'peft',
  weightFiles: Object.freeze(['adapter_model.safetensors', 'adapter_model.bin']),
  recognises: (config) =>
    typeof config['peft_type'] === 'string' ||
    (config['architecture'] === 'union' &&
      Array.isArray(config['configs']) &&
      config['configs'].every(
        (part: { readonly peft_type?: unknown } | null) => typeof part?.peft_type === 'string',
      )),
  readSpec: (config, methods, _description, _keys, shapes, folder) =>
    readPeftSpec(config, methods, shapes, folder),
  writeConfig: writePeftConfig,

  keyOf(adapter, parameter) {
    const isPrompt = hasPromptLayout(adapter);
    if (parameter.origin === 'new' && (isPrompt || !parameter.site))
      return isPrompt ? parameter.name : `base_model.${parameter.name}`;
    const path =
      parameter.savedAs ??
      (parameter.origin === 'unfrozen' ? insideWrapper(adapter, parameter.name) : parameter.name);
    return `base_model.${isPrompt ? '' : 'model.'}${path}`;
  },

  keyOfTensor: (adapter, name) => (hasPromptLayout(adapter) ? name : `base_model.model.${name}`),

  readKey(key, { adapter, keys }): FileKey {
    const path = withoutAdapterName(key.replace(/^base_model\.(model\.)?/, ''), adapter);
    const copy = /^(.+)\.(modules_to_save(?:\.[^.]+)?|original_module)\.(.+)$/.exec(path);
    if (copy) {
      const [, module, word, name] = copy;
      const isAlone = !keys.includes(key.replace(`.${word}.`, '.'));
      if (word !== 'original_module' && isAlone)
        return { of: 'parameter', name: `${module}.${name}` };
      return { of: word === 'original_module' ? 'base' : 'trained', name: `${module}.${name}` };
    }
    return { of: 'parameter', name: path.replace(/\.(token_adapter\.)?base_layer\./, '.') };
  },

  /**
   * A whole table that stays tied to an output layer stands under that layer's name, too; PEFT asks
   * for both.
   */
  trainedCopies: (adapter) =>
    new Map(
      adapter.tiesWeights
        ? tiedOutputs(adapter.description).flatMap(({ output }) =>
            adapter.unfrozen(output.weight)
              ? [[`base_model.model.${output.path}.weight`, output.weight]]
              : [],
          )
        : [],
    ),

  baseCopies(adapter) {
    const own = [...adapter.parameters.keys()];
    // PEFT looks at the module that holds the table alone, and where a config names its targets
    const readers = new Set(tiedEmbeddings(adapter.description).map(({ reader }) => reader.path));
    const isStoredWhole = (path: string) =>
      own.some(
        (name) =>
          name === `${path}.weight` ||
          (name.startsWith(`${path}.`) && name.endsWith('trainable_tokens_delta')),
      );
    const hasTargets = adapter.parts.some(
      ({ part: { method } }) => method.peftCommonKeys?.includes('target_modules') ?? true,
    );
    const sites = (hasTargets ? adapter.wrappedSites : []).filter(
      ({ path }) =>
        EMBEDDING_MODULES.includes(path.split('.').at(-1)!) &&
        !isStoredWhole(path) &&
        !readers.has(path),
    );
    return new Map(
      sites.flatMap((site) =>
        'weight' in site
          ? [[`base_model.model.${insideWrapper(adapter, `${site.path}.weight`)}`, site.weight]]
          : [],
      ),
    );
  },
} satisfies AdapterFormat);

const hasPromptLayout = ({ parts }: AdapterView): boolean =>
  parts.some(({ part }) => part.method.peftLayout === 'prompt');

/**
 * `…query.bias` → `…query.base_layer.bias` where something stands on `…query`, behind
 * `token_adapter` where rows of LoRA do.
 */
function insideWrapper(adapter: AdapterView, parameterName: OwnedParameter['name']): string {
  const dot = parameterName.lastIndexOf('.');
  const path = parameterName.slice(0, dot);
  const isWrapped = adapter.wrappedSites.some(
    (site) =>
      site.path === path &&
      (site.kind === 'linear' || site.kind === 'embedding' || site.kind === 'norm'),
  );
  if (!isWrapped) return parameterName;
  const hasRows = adapter.parameters.has(`${path}.token_adapter.trainable_tokens_delta`);
  return `${path}${hasRows ? '.token_adapter' : ''}.base_layer${parameterName.slice(dot)}`;
}

/**
 * A path without the name that its adapter has in Python, which some files keep:
 * `q_proj.lora_A.default.weight` → `q_proj.lora_A.weight`.
 */
function withoutAdapterName(path: string, { parameters }: AdapterView): string {
  for (const { name, site, origin } of parameters.values()) {
    if (origin !== 'new' || !site || !name.startsWith(`${site.path}.`)) continue;
    const [word, ...rest] = name.slice(site.path.length + 1).split('.');
    const end = rest.length ? `.${rest.join('.')}` : '';
    if (path.endsWith(`.${word}${end}`) || !path.endsWith(end)) continue;
    const front = path.slice(0, path.length - end.length);
    const at = front.lastIndexOf('.');
    if (front.slice(0, at).endsWith(`.${word}`)) return `${front.slice(0, at)}${end}`;
  }
  return path;
}
