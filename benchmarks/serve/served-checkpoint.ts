/** A checkpoint with random weights and LoRA adapters for it, as files that a server loads. */
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { architectureFor, describeModel, randomWeights, type ModelDescription } from '@peft/core';
import { writeCheckpoint, writeSafetensors } from '@peft/hub';
import { architectures } from '@peft/models';
import { randomKey, randomNormal } from '@peft/ops';

/** Its tokens are the first ones of every model here; ids beyond them have no text. */
const TOKENIZER = fileURLToPath(
  new URL('../../packages/testing/fixtures/models/llama', import.meta.url),
);
const RANK = 16;
/** Large enough that every adapter changes what is said. */
const DEVIATION = 0.05;

/** Folders of a model and of adapters for it. */
export interface ServedCheckpoint {
  readonly model: string;
  readonly adapters: Readonly<Record<string, string>>;
  readonly vocabularySize: number;
}

/**
 * Writes what the folder does not have yet: bfloat16 weights, and adapters of rank 16 on all linear
 * layers.
 * @param configFile a `config.json`
 */
export async function servedCheckpoint(
  configFile: string,
  folder: string,
  adapterCount: number,
): Promise<ServedCheckpoint> {
  const config = JSON.parse(readFileSync(configFile, 'utf8')) as Record<string, unknown>;
  const architecture = architectureFor(config['model_type'], architectures);
  const description = describeModel(architecture, architecture.parseConfig(config), {
    kind: 'causal-lm',
  });
  const model = join(folder, 'model');
  if (!existsSync(model)) await writeModel(model, config, description);
  const names = Array.from({ length: adapterCount }, (_, n) => `lora-${n}`);
  const adapters = Object.fromEntries(names.map((name) => [name, join(folder, name)]));
  for (const [name, path] of Object.entries(adapters))
    if (!existsSync(path)) await writeAdapter(path, name, description);
  return { model, adapters, vocabularySize: description.vocabularySize };
}

async function writeModel(
  folder: string,
  config: Readonly<Record<string, unknown>>,
  description: ModelDescription,
): Promise<void> {
  const weights = randomWeights(description, { dtype: 'BF16' });
  const sources = [...weights.names()].map((name) => weights.get(name)!);
  await writeCheckpoint(folder, sources);
  writeFileSync(join(folder, 'config.json'), JSON.stringify(config));
  for (const file of ['tokenizer.json', 'tokenizer_config.json'])
    copyFileSync(join(TOKENIZER, file), join(folder, file));
}

/** In PEFT's layout. */
async function writeAdapter(
  folder: string,
  name: string,
  { sites }: ModelDescription,
): Promise<void> {
  mkdirSync(folder, { recursive: true });
  const linears = sites.flatMap((site) =>
    site.kind === 'linear' && !site.isOutputHead ? [site] : [],
  );
  const tensors = linears.flatMap(({ path, inFeatures, outFeatures }) =>
    Object.entries({ lora_A: [RANK, inFeatures], lora_B: [outFeatures, RANK] }).map(
      ([part, shape]) => {
        const key = randomKey(name, path, part);
        return {
          name: `base_model.model.${path}.${part}.weight`,
          dtype: 'F32' as const,
          shape,
          data: Float32Array.from(
            { length: shape[0]! * shape[1]! },
            (_, i) => DEVIATION * randomNormal(key, i),
          ),
        };
      },
    ),
  );
  await writeSafetensors(join(folder, 'adapter_model.safetensors'), tensors);
  const config = {
    peft_type: 'LORA',
    task_type: 'CAUSAL_LM',
    r: RANK,
    lora_alpha: RANK,
    target_modules: 'all-linear',
  };
  writeFileSync(join(folder, 'adapter_config.json'), JSON.stringify(config));
}
