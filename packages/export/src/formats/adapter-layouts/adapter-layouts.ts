/** The adapter alone, in the layouts of Python's libraries: what one saved, for the other. */
import {
  adapterHubFormat,
  hubHeadModules,
  isInModules,
  peftFormat,
  saveAdapter,
  type Adapter,
  type AdapterFormat,
} from '@peft/core';
import { defineFormat, type ExportFormat } from '../../format.js';
import { soleAdapter } from '../../targets/plain-lora.js';
import { unsupported } from '../unsupported.js';

/** `peft`: adapter_config.json and adapter_model.safetensors, for PEFT and vLLM. */
export const peft = adapterLayout('peft', "the adapter in Hugging Face PEFT's layout", peftFormat);

/** `adapter-hub`: for the adapters library. */
export const adapterHub = adapterLayout(
  'adapter-hub',
  "the adapter in the adapters library's layout",
  adapterHubFormat,
);

function adapterLayout(name: string, summary: string, format: AdapterFormat): ExportFormat {
  return defineFormat({
    name,
    summary,
    types: [],
    isAdapter: true,
    prepare(source) {
      const { model, base } = source;
      const { adapter } = soleAdapter(name, source);
      if (format === peftFormat) refuseUnknown(adapter);
      else refuseHomeless(adapter);
      // refuses what the layout has no words for
      format.writeConfig(adapter, {});
      refuseShared(name, adapter, format);
      return {
        type: undefined,
        totalBytes: 1,
        warnings: [],
        async write(folder, tools) {
          tools.tensor(adapter.name, 1);
          await saveAdapter(model, adapter.name, folder, {
            format,
            baseModel: base.reference,
            revision: base.revision,
            allowUntrained: true,
          });
        },
        reopen: (folder) => ({
          adapterFolder: folder,
          methods: adapter.parts.map(({ part }) => part.method),
        }),
      };
    },
  });
}

/** @throws PEFT_EXPORT_UNSUPPORTED for methods that Python's PEFT does not have */
function refuseUnknown({ parts }: Adapter): void {
  const methods = parts.map(({ part }) => part.method);
  if (methods.filter(({ peftType }) => peftType !== undefined).length === 1) return;
  throw unsupported('peft', `has no method ${methods.map(({ name }) => name).join('+')}`, MERGE);
}

/**
 * The adapters library reads modules of its own and the head; of the model's other parameters it
 * would leave what was trained behind.
 * @throws PEFT_EXPORT_UNSUPPORTED
 */
function refuseHomeless({ parameters, description }: Adapter): void {
  const heads = hubHeadModules(description);
  const found = [...parameters.values()].find(
    ({ origin, name }) => origin === 'unfrozen' && !isInModules(name, heads),
  );
  if (found)
    throw unsupported('adapter-hub', `has no place for ${found.name}, which was trained`, MERGE);
}

/** @throws PEFT_EXPORT_UNSUPPORTED where two methods would write under one name */
function refuseShared(layout: string, adapter: Adapter, format: AdapterFormat): void {
  const keys = new Set<string>();
  for (const parameter of adapter.parameters.values()) {
    if (!parameter.saved) continue;
    const key = format.keyOf(adapter, parameter);
    if (keys.has(key))
      throw unsupported(layout, `has one place for two parameters (${key})`, MERGE);
    keys.add(key);
  }
}

const MERGE = 'make it LoRA (--to lora), or merge it: peft merge';
