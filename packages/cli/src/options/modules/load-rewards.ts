/** `--reward`: modules that judge what a model writes. */
import { existsSync } from 'node:fs';
import { basename, extname, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { PeftError, show } from '@peft/errors';
import type { FitOptions } from '@peft/predictor';
import { positiveNumber } from '../numbers.js';

type Reward = NonNullable<FitOptions['rewards']>[number];

/**
 * @param command the one that has the flag, for errors.
 * @param given each `FILE` or `FILE=WEIGHT`; a reward is called as its file is.
 * @throws PEFT_REWARD_LOAD for a file that cannot be imported, or whose default export is no
 *   function; PEFT_CONFIG_INVALID for a weight that is no positive number
 */
export async function loadRewards(
  command: string,
  given: readonly string[],
): Promise<readonly Reward[]> {
  const rewards: Reward[] = [];
  for (const each of given) {
    const [, file, weight] = /^(.+?)(?:=([^=]*))?$/.exec(each)!;
    rewards.push({
      name: basename(file!, extname(file!)),
      score: await importReward(file!),
      weight: weight === undefined ? undefined : positiveNumber(command, '--reward', weight),
    });
  }
  return rewards;
}

async function importReward(file: string): Promise<Reward['score']> {
  if (!existsSync(file))
    throw new PeftError('PEFT_REWARD_LOAD', `--reward ${file}: there is no such file.`, {
      hint: 'give the path of a module with a default export',
    });
  const exported: unknown = await import(pathToFileURL(resolve(file)).href).then(
    (module: { default?: unknown }) => module.default,
    (cause: Error) => {
      throw new PeftError('PEFT_REWARD_LOAD', `--reward ${file}: ${cause.message}`, {
        hint:
          extname(file) === '.ts'
            ? 'Node reads TypeScript from 22.18 on; with an older one compile it, or run node --import tsx'
            : 'give the path of a module with a default export',
        cause,
      });
    },
  );
  if (typeof exported === 'function') return exported as Reward['score'];
  throw new PeftError(
    'PEFT_REWARD_LOAD',
    `--reward ${file}: its default export is ${show(exported)}, no function.`,
    { hint: 'export default ({ completion, row }) => (completion === row.answer ? 1 : 0);' },
  );
}
