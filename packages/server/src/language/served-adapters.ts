/** Adapters of a running model under their public names, while texts are made with them. */
import type { LanguageModel, LanguageTexts } from '@peft/predictor';
import * as tf from '@tensorflow/tfjs';
import { KeyValueCache, modelTasks, type Model } from '@peft/core';
import { didYouMean, PeftError, show } from '@peft/errors';
import { isEncoderDecoder } from '@peft/generation';

interface Served {
  /** Its name on the model: a name that is loaded again gets another one. */
  readonly id: string;
  readonly texts: LanguageTexts;
  /** Texts that are being made with it. */
  users: number;
  isUnloaded: boolean;
}

/** An adapter in use; `release` when the text has ended. */
export interface AdapterUse {
  readonly id: string;
  readonly texts: LanguageTexts;
  release(): void;
}

/**
 * An adapter that is unloaded is gone for new texts at once; those that are being made with it end
 * with it, and then its memory is freed.
 */
export class ServedAdapters {
  readonly #served = new Map<string, Served>();
  #count = 0;
  /** Loads that are under way. */
  #loading = 0;

  constructor(
    readonly language: LanguageModel,
    /** Adapters at once at most. */
    readonly most: number,
  ) {}

  /** Names, in the order in which they were loaded. */
  get names(): readonly string[] {
    return [...this.#served.keys()];
  }

  /**
   * @throws PEFT_ADAPTER_NAME when there is one of that name, PEFT_ADAPTER_LIMIT when there are as many
   *   as may be, and what reading adapters throws
   */
  async load(name: string, folder: string): Promise<void> {
    this.#refuseTaken(name);
    this.#refuseBeyondLimit();
    this.#loading += 1;
    try {
      await this.#read(name, folder);
    } finally {
      this.#loading -= 1;
    }
  }

  async #read(name: string, folder: string): Promise<void> {
    const id = `served-${(this.#count += 1)}`;
    const texts = await this.language.addAdapter(id, folder);
    try {
      this.#refuseTaken(name); // by a load that went on meanwhile
      refuseWithoutCache(this.language.model, id);
    } catch (error) {
      this.language.model.deleteAdapter(id);
      throw error;
    }
    this.#served.set(name, { id, texts, users: 0, isUnloaded: false });
  }

  /** @throws PEFT_ADAPTER_UNKNOWN */
  unload(name: string): void {
    const served = this.#find(name);
    this.#served.delete(name);
    served.isUnloaded = true;
    this.#freeUnused(served);
  }

  /** @throws PEFT_ADAPTER_UNKNOWN */
  use(name: string): AdapterUse {
    const served = this.#find(name);
    served.users += 1;
    return {
      id: served.id,
      texts: served.texts,
      release: () => {
        served.users -= 1;
        this.#freeUnused(served);
      },
    };
  }

  #freeUnused({ id, isUnloaded, users }: Served): void {
    if (isUnloaded && users === 0) this.language.model.deleteAdapter(id);
  }

  #refuseBeyondLimit(): void {
    if (this.#served.size + this.#loading < this.most) return;
    throw new PeftError(
      'PEFT_ADAPTER_LIMIT',
      `server: ${this.#served.size + this.#loading} adapters are loaded, which is as many as may be.`,
      { hint: 'unload one first, or start the server with a larger --max-adapters' },
    );
  }

  #refuseTaken(name: string): void {
    if (this.#served.has(name))
      throw new PeftError(
        'PEFT_ADAPTER_NAME',
        `server: an adapter ${show(name)} is loaded already.`,
        {
          hint: 'unload it first, or choose another name',
        },
      );
  }

  #find(name: string): Served {
    const served = this.#served.get(name);
    if (served) return served;
    throw new PeftError('PEFT_ADAPTER_UNKNOWN', `server: no adapter ${show(name)} is loaded.`, {
      hint: `${didYouMean(name, this.#served.keys())} Loaded: ${this.names.join(', ') || 'none'}.`.trim(),
    });
  }
}

const ONE_TOKEN = Object.freeze({ inputIds: Int32Array.of(0), offsets: Int32Array.of(0, 1) });

/**
 * That a text can be made with the adapter token by token.
 * @throws PEFT_CACHE_ADAPTER for one that looks at whole sequences (UniPELT's gates)
 */
export function refuseWithoutCache(model: Model, adapter: string): void {
  const cache = new KeyValueCache();
  model.setActiveAdapters(adapter);
  try {
    const taskIds = modelTasks(model) > 1 ? Int32Array.of(0) : undefined; // any will do
    const batch = { ...ONE_TOKEN, taskIds };
    tf.tidy(() => {
      model.forward(isEncoderDecoder(model) ? { ...batch, decoder: ONE_TOKEN } : batch, {
        cache,
        logitRows: 'none',
      });
    });
  } finally {
    cache.dispose();
  }
}
