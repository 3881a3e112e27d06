/** `--engine`, `--precision` and `--plugin` of commands that compute with a saved model. */
import type { Command } from 'commander';
import { check } from '@peft/errors';
import { ENGINE_NAMES, type EngineName } from '@peft/predictor';

export const ENGINES: readonly ('auto' | EngineName)[] = Object.freeze(['auto', ...ENGINE_NAMES]);
export const PRECISIONS = Object.freeze(['auto', 'bf16', '32'] as const);

export interface EngineFlags {
  readonly engine: string;
  readonly precision?: string;
  readonly plugin: readonly string[];
}

export const addEngineFlags = (command: Command): Command =>
  addPluginFlag(
    command
      .option('--engine <name>', `${ENGINES.join(', ')}, or one of a plug-in`, 'auto')
      .option('--precision <name>', PRECISIONS.join(', ')),
  );

export const addPluginFlag = (command: Command): Command =>
  command.option(
    '--plugin <module...>',
    'modules that export further methods, engines, model families or formats',
    [],
  );

/**
 * What a predictor is loaded with; it knows the engines of plug-ins, too, and names the nearest.
 * @throws PEFT_CONFIG_INVALID for a precision that there is not
 */
export function engineOptions(
  command: string,
  { engine, precision }: EngineFlags,
): {
  readonly engine: 'auto' | EngineName;
  readonly precision: (typeof PRECISIONS)[number] | undefined;
} {
  // the predictor refuses a name that it does not know
  const name = engine as 'auto' | EngineName;
  if (precision === undefined) return { engine: name, precision };
  check.oneOf(command, '--precision', precision, PRECISIONS);
  return { engine: name, precision };
}
