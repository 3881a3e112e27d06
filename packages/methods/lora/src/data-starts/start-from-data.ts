/** LoRA's options with the start that training batches chose. */
import { attachAdapter, valueAt, type ChosenStart, type StartFromData } from '@peft/core';
import { PeftError } from '@peft/errors';
import { strengthAt, type LoraConfig } from '../lora-config.js';
import { defaultInit } from '../variants/lora-init.js';
import { cordaStart } from './corda.js';
import { isDataStart, parseDataStart } from './data-start-options.js';
import { evaStart } from './eva.js';
import { givenStart } from './given-start.js';
import { loraGaStart } from './lora-ga.js';

/** @throws PEFT_CONFIG_INVALID, PEFT_START_NOT_SETTLED, PEFT_START_DATA_MISSING without any batch */
export async function startFromData(
  config: LoraConfig,
  call: StartFromData,
): Promise<ChosenStart<LoraConfig>> {
  const { init } = config;
  if (!isDataStart(init)) return { config };
  const options = parseDataStart(init, config.dataStart);
  if (init === 'eva') {
    const { matrices, ranks } = await evaStart(config, options, call);
    requireSome(matrices, init);
    return redistributed(
      { ...config, init: givenStart(init, options, matrices, defaultInit) },
      ranks,
      options.adjustScaling,
      call,
    );
  }
  const start = init === 'corda' ? cordaStart : loraGaStart;
  const matrices = await start(config, options, call);
  requireSome(matrices, init);
  return { config: { ...config, init: givenStart(init, options, matrices, defaultInit) } };
}

function requireSome({ size }: ReadonlyMap<string, unknown>, init: string): void {
  if (size === 0)
    throw new PeftError(
      'PEFT_START_DATA_MISSING',
      `lora: init '${init}' found no layer that a batch went through.`,
      { hint: 'give at least one batch, and targets among the linear layers' },
    );
}

/** Ranks by path, and α with them; layers of rank 0 are targets no longer. */
function redistributed(
  config: LoraConfig,
  ranks: ReadonlyMap<string, number>,
  adjustScaling: boolean,
  { model, part }: StartFromData,
): ChosenStart<LoraConfig> {
  const rankPattern: Record<string, number> = {};
  const alphaPattern: Record<string, number> = {};
  for (const [path, rank] of ranks) {
    const before = strengthAt(path, config).rank;
    if (rank === 0 || rank === before) continue;
    const key = path.replaceAll('.', '\\.');
    rankPattern[key] = rank;
    if (adjustScaling)
      alphaPattern[key] = ((valueAt(path, config.alphaPattern) ?? config.alpha) * rank) / before;
  }
  const changed: LoraConfig = {
    ...config,
    rankPattern: { ...rankPattern, ...config.rankPattern },
    alphaPattern: { ...alphaPattern, ...config.alphaPattern },
  };
  if (![...ranks.values()].includes(0)) return { config: Object.freeze(changed) };
  const { sites } = attachAdapter(
    'dry',
    { name: 'lora', parts: [part] },
    model.description,
    undefined,
  ).parts[0]!;
  const targets = sites.map(({ path }) => path).filter((path) => ranks.get(path) !== 0);
  const {
    excludeModules: _exclude,
    layersToTransform: _layers,
    layersPattern: _pattern,
    ...common
  } = part.common;
  return { config: Object.freeze(changed), common: { ...common, targets } };
}
