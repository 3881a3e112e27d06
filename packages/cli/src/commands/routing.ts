/** `--route`: LoRA adapters that a language model chooses among token by token. */
import type { Command } from 'commander';
import { PeftError } from '@peft/errors';
import { routeLora } from '@peft/methods';
import type { LanguageModel } from '@peft/predictor';
import { finiteNumber, positiveInteger } from '../options/numbers.js';

/** As the command line gives them. */
export interface RouteFlags {
  readonly adapter?: string;
  readonly route?: readonly string[];
  readonly routeGeneral?: readonly string[];
  readonly routeTop?: string;
  readonly routeTemperature?: string;
}

export const addRouteFlags = (command: Command): Command =>
  command
    .option(
      '--route <folder...>',
      'LoRA adapters to choose among for each token by its own direction in each layer (Arrow)',
    )
    .option(
      '--route-general <folder...>',
      'with --route: adapters of general knowledge, whose mean is taken off the others (GenKnowSub)',
    )
    .option('--route-top <number>', 'with --route: adapters that a token gets (3)')
    .option('--route-temperature <number>', 'with --route: of the softmax over their scores (1)');

/** Folders that the model will be asked to hold. @throws PEFT_OPTION_INVALID for flags that need --route */
export function routedFolders(command: string, flags: RouteFlags): readonly string[] {
  const { adapter, route, routeGeneral = [], routeTop, routeTemperature } = flags;
  const alone = [
    ...(routeGeneral.length ? ['--route-general'] : []),
    ...(routeTop === undefined ? [] : ['--route-top']),
    ...(routeTemperature === undefined ? [] : ['--route-temperature']),
  ];
  if (!route && alone.length > 0)
    throw new PeftError('PEFT_OPTION_INVALID', `${command}: ${alone[0]} needs --route.`, {
      hint: '--route FOLDER FOLDER names the adapters to choose among',
    });
  if (route && adapter !== undefined)
    throw new PeftError(
      'PEFT_OPTION_INVALID',
      `${command}: --adapter and --route exclude each other.`,
      { hint: 'name all adapters to choose among with --route' },
    );
  return [...(route ?? []), ...routeGeneral];
}

/** Puts the adapters on the model, and what chooses among them in force. */
export async function routed(
  command: string,
  language: LanguageModel,
  { route, routeGeneral = [], routeTop, routeTemperature }: RouteFlags,
): Promise<void> {
  if (!route) return;
  if (language.adapter !== undefined)
    throw new PeftError(
      'PEFT_OPTION_INVALID',
      `${command}: --route is for a checkpoint, and this folder has an adapter of its own.`,
      { hint: 'name its checkpoint, and the folder with --route' },
    );
  const added = async (prefix: string, folders: readonly string[]): Promise<string[]> => {
    const names = folders.map((_, n) => `${prefix}_${n}`);
    for (const [n, folder] of folders.entries()) await language.addAdapter(names[n]!, folder);
    return names;
  };
  const adapters = await added('task', route);
  const general = await added('general', routeGeneral);
  await routeLora(language.model, 'routed', {
    adapters,
    general,
    ...(routeTop === undefined ? {} : { topK: positiveInteger(command, '--route-top', routeTop) }),
    ...(routeTemperature === undefined
      ? {}
      : { temperature: finiteNumber(command, '--route-temperature', routeTemperature) }),
  });
}
