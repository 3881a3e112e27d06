/** A LoRA adapter in MLX-LM's layout. */
import { saveAdapter } from '@peft/core';
import { mlxFormat } from '@peft/lora';
import { defineFormat } from '../../format.js';
import { plainLoraOf } from '../../targets/plain-lora.js';

/** `mlx`: adapters.safetensors and adapter_config.json, for mlx_lm --adapter-path. */
export const mlx = defineFormat({
  name: 'mlx',
  summary: "a LoRA adapter in MLX-LM's layout",
  types: [],
  isAdapter: true,
  prepare(source) {
    const { model, base } = source;
    const { name } = plainLoraOf('mlx', source);
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
