/** A frozen weight of the native engine. */
import { PeftError } from '@peft/errors';
import type { Engine, FrozenWeight, WeightFormat } from '@peft/ops';
import type { NativeBinding } from './binding/native-binding.js';
import type { WeightHandle } from './binding/weights.js';

/** A base weight in the addon's memory, or mapped from its file. */
export class NativeWeight implements FrozenWeight {
  #handle: WeightHandle | undefined;
  readonly shape: readonly number[];
  readonly format: WeightFormat;
  readonly byteLength: number;

  constructor(
    readonly engine: Engine & { readonly binding: NativeBinding },
    readonly name: string,
    handle: WeightHandle,
  ) {
    this.#handle = handle;
    const { rows, columns, format, byteLength } = engine.binding.weightInfo(handle);
    this.shape = [rows, columns];
    this.format = format;
    this.byteLength = byteLength;
  }

  get handle(): WeightHandle {
    if (!this.#handle)
      throw new PeftError('PEFT_WEIGHT_DISPOSED', `${this.name}: the weight was disposed of.`, {
        hint: 'load the model again',
      });
    return this.#handle;
  }

  /**
   * Calls `use` with the handle, for what reads the weight's values.
   * @throws PEFT_WEIGHT_FILE_CHANGED when the file that it is mapped from was shortened or written to
   */
  read<Result>(use: (handle: WeightHandle) => Result): Result {
    const { handle } = this;
    try {
      return use(handle);
    } catch (cause) {
      if ((cause as { code?: string }).code !== 'PEFT_NATIVE_FILE') throw cause;
      throw new PeftError(
        'PEFT_WEIGHT_FILE_CHANGED',
        `${this.name}: ${(cause as Error).message.replace(/^native: /, '')}`,
        {
          hint:
            'what was computed since is not to be used: load the model again; write new weights ' +
            'into a new file and rename it',
          cause,
        },
      );
    }
  }

  get isDisposed(): boolean {
    return this.#handle === undefined;
  }

  dispose(): void {
    if (!this.#handle) return;
    this.engine.binding.weightFree(this.#handle);
    this.#handle = undefined;
  }
}
