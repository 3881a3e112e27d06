/** A start whose matrices were computed before, a pair for each module. */
import { PeftError } from '@peft/errors';
import type { LoraInitCall, LoraInitializer } from '../variants/lora-initializer.js';
import { dataStartToPeft, type DataStart, type DataStartName } from './data-start-options.js';

/** Start values of a module, row-major. */
export interface StartMatrices {
  readonly a: Float32Array; // [r, in]
  /** Default: zero. */
  readonly b?: Float32Array; // [out, r]
}

/** The initialiser of these matrices; modules without any start as `others` has it. */
export function givenStart(
  init: DataStartName,
  start: DataStart,
  matrices: ReadonlyMap<string, StartMatrices>,
  others: LoraInitializer,
): LoraInitializer {
  const isPlainFile = init !== 'eva';
  return Object.freeze({
    name: init,
    peftValue: isPlainFile ? true : init,
    peftConfig: dataStartToPeft(init, start),
    isSubtracted: isPlainFile,
    start(call: LoraInitCall) {
      const given = matrices.get(call.site.path);
      if (!given) return others.start(call);
      return {
        a: () => given.a,
        b: ([rows, rank]: readonly number[]) => given.b ?? new Float32Array(rows! * rank!),
      };
    },
  });
}

/** What stands in place of a start that has not seen its data: shapes without values. */
export const awaitedStart = (init: DataStartName): LoraInitializer => {
  const refuse = (): never => {
    throw new PeftError(
      'PEFT_START_DATA_MISSING',
      `lora: init '${init}' starts from training batches, and none were given.`,
      {
        hint: 'fit and the command line give them; otherwise attach what startedSpec(model, spec, data) of @peft/core returns',
      },
    );
  };
  return Object.freeze({
    name: init,
    peftValue: init,
    isSubtracted: init !== 'eva',
    start: () => ({ a: refuse, b: refuse }),
  });
};
