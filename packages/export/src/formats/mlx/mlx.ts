/** A LoRA adapter in MLX-LM's layout. */
import { join } from 'node:path';
import { saveAdapter } from '@peft/core';
import { readJsonObject } from '@peft/hub';
import { mlxFormat } from '@peft/lora';
import { defineFormat } from '../../format.js';
import { checkPlainLora } from '../../targets/plain-lora.js';
import { unsupported } from '../unsupported.js';

/** `mlx`: adapters.safetensors and adapter_config.json, for mlx_lm --adapter-path. */
export const mlx = defineFormat({
  name: 'mlx',
  summary: "a LoRA adapter in MLX-LM's layout",
  types: [],
  prepare({ model, adapterFolder, base }) {
    const [name] = model.activeAdapters;
    if (adapterFolder === undefined || name === undefined)
      throw unsupported('mlx', 'needs an adapter', 'name one with --adapter');
    checkPlainLora('mlx', readJsonObject(join(adapterFolder, 'adapter_config.json')) ?? {});
    return {
      type: undefined,
      totalBytes: 1,
      warnings: [],
      async write(folder, tools) {
        tools.tensor(name, 1);
        await saveAdapter(model, name, folder, {
          format: mlxFormat,
          baseModel: base.reference,
          allowUntrained: true,
        });
      },
      next: (output) => [`mlx_lm.generate --model BASE --adapter-path ${output}`],
    };
  },
});
