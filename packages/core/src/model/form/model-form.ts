/** What a model consists of at present: as its checkpoint has it, or with blocks repeated. */
import { PeftError } from '@peft/errors';
import type { Adapter } from '../../adapter/adapter.js';
import type { ModelDescription } from '../../description/model-description.js';
import { describedFor, orderOf } from '../../method/repeated-blocks.js';
import type { MethodSpec } from '../../method/peft-method.js';
import type { Architecture } from '../architecture.js';
import type { Stage } from '../stage/stage.js';
import type { ModelWeights } from '../weights/weights.js';

/** A config of the architecture, and what it describes. */
interface Form {
  readonly config: unknown;
  readonly description: ModelDescription;
}

/** What stands in the way of other blocks. */
interface Hosting {
  readonly adapterNames: readonly string[];
  readonly stage: Stage | undefined;
  readonly weights: ModelWeights;
}

/** The form that a model's adapters ask for. */
export class ModelForm {
  readonly #plain: Form;
  #current: Form;

  constructor(
    readonly architecture: Architecture<unknown>,
    plain: Form,
  ) {
    this.#plain = plain;
    this.#current = plain;
  }

  get current(): Form {
    return this.#current;
  }

  /**
   * Runs `attach` on the form that a spec asks for; on failure the model keeps the one it has.
   * @throws PEFT_BLOCKS_REPEATED
   */
  around<T>(spec: MethodSpec, model: Hosting, attach: () => T): T {
    const before = this.#current;
    const description = describedFor(spec, before.description);
    if (description !== before.description) {
      requireAlone(spec, model);
      this.#current = { config: this.#configOf(description), description };
    }
    try {
      return attach();
    } catch (error) {
      this.#current = before;
      throw error;
    }
  }

  /** Back to the checkpoint's form when no adapter is left: they were all made on one form. */
  settle(adapters: ReadonlyMap<string, Adapter>): void {
    if (adapters.size === 0) this.#current = this.#plain;
  }

  #configOf({ modelType, repeatedBlocks = [] }: ModelDescription): unknown {
    const config = this.architecture.repeatBlocks?.(this.#plain.config, orderOf(repeatedBlocks));
    if (config === undefined)
      throw new PeftError(
        'PEFT_BLOCKS_REPEATED',
        `${modelType}: the blocks of this family cannot be repeated.`,
        { hint: 'leave layerReplication out, or take BERT or a decoder of the form of Llama' },
      );
    return config;
  }
}

/** @throws PEFT_BLOCKS_REPEATED */
function requireAlone({ name }: MethodSpec, { adapterNames, stage, weights }: Hosting): void {
  const refuse = (why: string, hint: string): never => {
    throw new PeftError(
      'PEFT_BLOCKS_REPEATED',
      `${name}: blocks cannot be repeated where ${why}.`,
      { hint },
    );
  };
  if (adapterNames.length > 0)
    refuse(
      `adapters stand on the blocks already (${adapterNames.join(', ')})`,
      'add the one that repeats them first, or take the others off',
    );
  if (stage || weights.shards)
    refuse('ranks hold the model together', 'give each rank all of its blocks');
}
